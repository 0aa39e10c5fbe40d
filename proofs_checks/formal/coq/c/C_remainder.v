(** C1, continued: the explicit remainder of the denoiser's series, for every finite law, at every alpha and in every dimension.

    Along a direction e the denoiser is the mean of [F_i = <e, y_i>] under the weights [w_i exp(a p_i - a^2 q_i)], with [p_i = <x, y_i>/s^2] and
    [q_i = |y_i|^2/(2 s^2)]. Its second derivative in a is a covariance and a third central moment, which ranges bound. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Mixture Formulas A B Posterior.
Local Open Scope R_scope.

(** ** Moments and ranges *)

Section Ranges.
Variables (n : nat) (w : nat -> R).
Hypothesis Hw : weights n w.
Let Hp := proj1 Hw.
Let Hsum := proj2 Hw.
Definition av (f : nat -> R) : R := sumn n (fun i => w i * f i).
Definition within (f : nat -> R) (L : R) : Prop := forall i j, (i < n)%nat -> (j < n)%nat -> f i - f j <= L.

Lemma av_const c : av (fun _ => c) = c.
Proof. unfold av. rewrite sumn_scal_r, Hsum. ring. Qed.

Lemma av_le f g : (forall i, (i < n)%nat -> f i <= g i) -> av f <= av g.
Proof. intros H. apply sumn_le. intros i Hi. apply Rmult_le_compat_l; auto. Qed.

Lemma av_scal c f : av (fun i => c * f i) = c * av f.
Proof. unfold av. rewrite <- sumn_scal. apply sumn_ext. intros; ring. Qed.

Lemma av_plus f g : av (fun i => f i + g i) = av f + av g.
Proof. unfold av. rewrite <- sumn_plus. apply sumn_ext. intros; ring. Qed.

Lemma n_pos : (0 < n)%nat.
Proof. destruct n; [simpl in Hsum; lra|lia]. Qed.

(** A middle from which no value is farther than half the range *)
Lemma middle f L : within f L -> exists c, forall i, (i < n)%nat -> Rabs (f i - c) <= L / 2.
Proof.
  intros H. assert (X : forall m, (0 < m)%nat -> exists lo hi, (lo < m)%nat /\ (hi < m)%nat /\ forall i, (i < m)%nat -> f lo <= f i <= f hi).
  { induction m; intros Hm; [lia|]. destruct (PeanoNat.Nat.eq_dec m 0) as [->|Hne].
    - exists 0%nat, 0%nat. repeat split; try lia; replace i with 0%nat by lia; lra.
    - destruct IHm as (lo & hi & Hlo & Hhi & Hb); [lia|].
      exists (if Rle_dec (f lo) (f m) then lo else m), (if Rle_dec (f m) (f hi) then hi else m).
      destruct (Rle_dec (f lo) (f m)); destruct (Rle_dec (f m) (f hi)); repeat split; try lia; destruct (PeanoNat.Nat.eq_dec i m) as [->|]; try lra;
        destruct (Hb i ltac:(lia)); lra. }
  destruct (X n n_pos) as (lo & hi & Hlo & Hhi & Hb). exists ((f lo + f hi) / 2). intros i Hi. destruct (Hb i Hi). specialize (H hi lo Hhi Hlo).
  apply Rabs_le. lra.
Qed.

Lemma near_mean f L i : within f L -> (i < n)%nat -> Rabs (f i - av f) <= L.
Proof.
  intros H Hi. apply Rabs_le. split.
  - assert (av f <= av (fun _ => f i + L)); [apply av_le; intros j Hj; specialize (H j i Hj Hi); lra|]. rewrite av_const in H0. lra.
  - assert (av (fun _ => f i - L) <= av f); [apply av_le; intros j Hj; specialize (H i j Hi Hj); lra|]. rewrite av_const in H0. lra.
Qed.

(** A standard deviation is at most half the range. *)
Lemma variance_range f L : within f L -> av (fun i => (f i - av f) ^ 2) <= L ^ 2 / 4.
Proof.
  intros H. destruct (middle f L H) as [c Hc].
  assert (E : av (fun i => (f i - c) ^ 2) = av (fun i => (f i - av f) ^ 2) + (av f - c) ^ 2).
  { unfold av at 1 2. rewrite (sumn_ext n (fun i => w i * (f i - c) ^ 2) (fun i => w i * (f i - av f) ^ 2 + 2 * (av f - c) * (w i * f i - av f * w i) + (av f - c) ^ 2 * w i)) by (intros; ring).
    rewrite !sumn_plus, !sumn_scal, sumn_minus, sumn_scal, Hsum. fold (av f). ring. }
  assert (av (fun i => (f i - c) ^ 2) <= av (fun _ => L ^ 2 / 4)).
  { apply av_le. intros i Hi. specialize (Hc i Hi). apply Rabs_le_between in Hc. replace (L ^ 2 / 4) with ((L / 2) ^ 2) by field. nra. }
  rewrite av_const in H0. pose proof (pow2_ge_0 (av f - c)). lra.
Qed.

Lemma covariance_range f g L K : within f L -> within g K -> 0 <= L -> 0 <= K -> Rabs (av (fun i => (f i - av f) * (g i - av g))) <= L * K / 4.
Proof.
  intros Hf Hg HL HK. set (u := fun i => sqrt (w i) * (f i - av f)). set (v := fun i => sqrt (w i) * (g i - av g)).
  assert (U : forall a b i, (i < n)%nat -> sqrt (w i) * a * (sqrt (w i) * b) = w i * (a * b)).
  { intros a b i Hi. replace (sqrt (w i) * a * (sqrt (w i) * b)) with (sqrt (w i) * sqrt (w i) * (a * b)) by ring. rewrite sqrt_sqrt; auto. }
  assert (D1 : av (fun i => (f i - av f) * (g i - av g)) = dot n u v) by (unfold av at 1, dot, u, v; apply sumn_ext; intros; rewrite U; auto).
  assert (D2 : av (fun i => (f i - av f) ^ 2) = sq n u) by (unfold av at 1, sq, dot, u; apply sumn_ext; intros; rewrite U by auto; ring).
  assert (D3 : av (fun i => (g i - av g) ^ 2) = sq n v) by (unfold av at 1, sq, dot, v; apply sumn_ext; intros; rewrite U by auto; ring).
  pose proof (variance_range f L Hf) as V1. pose proof (variance_range g K Hg) as V2. rewrite D2 in V1. rewrite D3 in V2. rewrite D1.
  pose proof (sq_nonneg n u). pose proof (sq_nonneg n v). pose proof (cauchy_schwarz n u v).
  apply Rsqr_incr_0_var; [|nra]. rewrite <- Rsqr_abs. unfold Rsqr.
  apply Rle_trans with (sq n u * sq n v); auto. replace (L * K / 4 * (L * K / 4)) with (L ^ 2 / 4 * (K ^ 2 / 4)) by field. apply Rmult_le_compat; auto.
Qed.

Lemma third_range f g L K : within f L -> within g K -> 0 <= L -> Rabs (av (fun i => (f i - av f) * (g i - av g) ^ 2)) <= L * (K ^ 2 / 4).
Proof.
  intros Hf Hg HL. apply Rle_trans with (L * av (fun i => (g i - av g) ^ 2)).
  - unfold av at 1. eapply Rle_trans; [apply sumn_abs|]. rewrite <- av_scal. apply sumn_le. intros i Hi. rewrite Rabs_mult, (Rabs_right (w i)) by (apply Rle_ge; auto).
    apply Rmult_le_compat_l; auto. rewrite Rabs_mult, (Rabs_right ((g i - av g) ^ 2)) by (apply Rle_ge, pow2_ge_0).
    apply Rmult_le_compat_r; [apply pow2_ge_0|apply near_mean; auto].
  - apply Rmult_le_compat_l; auto. apply variance_range; auto.
Qed.
End Ranges.

(** Taylor's formula of second order, from two mean values *)
Lemma taylor_two h h1 h2 A K : 0 <= A -> (forall a, is_derive h a (h1 a)) -> (forall a, is_derive h1 a (h2 a)) -> (forall a, 0 <= a <= A -> Rabs (h2 a) <= K) ->
  Rabs (h A - h 0 - A * h1 0) <= K * (A ^ 2 / 2).
Proof.
  intros HA D1 D2 HK.
  assert (HK0 : 0 <= K) by (eapply Rle_trans; [apply Rabs_pos|apply (HK 0); lra]).
  assert (S : forall t, 0 <= t <= A -> Rabs (h1 t - h1 0) <= K * t).
  { intros t Ht. destruct (MVT_gen h1 0 t h2) as [c [Hc ->]]; [intros; apply D2|intros; apply continuity_pt_filterlim, (ex_derive_continuous h1); eexists; apply D2|].
    rewrite Rmin_left, Rmax_right in Hc by lra. rewrite Rminus_0_r, Rabs_mult, (Rabs_right t) by lra. apply Rmult_le_compat_r; [lra|apply HK; lra]. }
  assert (O : forall e, Rabs e <= 1 -> e * (h A - h 0 - A * h1 0) <= K * (A ^ 2 / 2)).
  { intros e He. set (phi := fun t => e * (h t - t * h1 0) - K * (t ^ 2 / 2)).
    assert (Dp : forall t, is_derive phi t (e * (h1 t - h1 0) - K * t)).
    { intros t. unfold phi. auto_derive; [eexists; apply D1|]. replace (Derive (fun x => h x) t) with (h1 t) by (symmetry; apply is_derive_unique, D1). field. }
    destruct (MVT_gen phi 0 A (fun t => e * (h1 t - h1 0) - K * t)) as [c [Hc Ec]]; [intros; apply Dp|intros; apply continuity_pt_filterlim, (ex_derive_continuous phi); eexists; apply Dp|].
    rewrite Rmin_left, Rmax_right in Hc by lra. pose proof (S c Hc) as Sc.
    assert (e * (h1 c - h1 0) <= K * c).
    { eapply Rle_trans; [apply Rle_abs|]. rewrite Rabs_mult. pose proof (Rabs_pos (h1 c - h1 0)). pose proof (Rabs_pos e). nra. }
    assert (phi A <= phi 0) by (assert ((e * (h1 c - h1 0) - K * c) * (A - 0) <= 0) by nra; lra).
    unfold phi in H0. simpl in H0. lra. }
  apply Rabs_le. split.
  - pose proof (O (-1) ltac:(rewrite Rabs_left; lra)). lra.
  - pose proof (O 1 ltac:(rewrite Rabs_R1; lra)). lra.
Qed.

(** ** The mean under weights that are tilted *)

Section Tilted.
Variables (n : nat) (w p q : nat -> R).
Hypothesis Hw : weights n w.
Definition part (a : R) (i : nat) : R := w i * exp (a * p i - a ^ 2 * q i).
Definition total (a : R) : R := sumn n (part a).
Definition share (a : R) (i : nat) : R := part a i / total a.
Definition M (f : nat -> R) (a : R) : R := av n (share a) f.

Lemma total_pos a : 0 < total a.
Proof.
  destruct (sumn_some_pos n w (proj1 Hw)) as (j & Hj & Hpj); [rewrite (proj2 Hw); lra|]. apply sumn_pos.
  - intros i Hi. apply Rmult_le_pos; [apply Hw; auto|left; apply exp_pos].
  - exists j. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos.
Qed.

Lemma share_weights a : weights n (share a).
Proof.
  pose proof (total_pos a). split.
  - intros i Hi. apply Rdiv_le_0_compat; auto. apply Rmult_le_pos; [apply Hw; auto|left; apply exp_pos].
  - unfold share. rewrite (sumn_ext n _ (fun i => part a i * / total a)) by (intros; reflexivity). rewrite sumn_scal_r. fold (total a). field. lra.
Qed.

Lemma M_ratio f a : M f a = sumn n (fun i => part a i * f i) / total a.
Proof. unfold M, av, share, Rdiv. rewrite <- sumn_scal_r. apply sumn_ext. intros; ring. Qed.

Lemma derive_sumn m (f : nat -> R -> R) (f' : nat -> R) a : (forall i, (i < m)%nat -> is_derive (f i) a (f' i)) -> is_derive (fun t => sumn m (fun i => f i t)) a (sumn m f').
Proof.
  induction m; intros H; [apply (is_derive_const (K := R_AbsRing) (V := R_NormedModule) 0)|].
  apply (is_derive_plus (K := R_AbsRing) (V := R_NormedModule) (fun t => sumn m (fun i => f i t)) (f m)); [apply IHm; intros; apply H; lia|apply H; lia].
Qed.

Lemma derive_part f a : is_derive (fun t => sumn n (fun i => part t i * f i)) a (sumn n (fun i => part a i * (f i * p i)) - 2 * a * sumn n (fun i => part a i * (f i * q i))).
Proof.
  rewrite <- sumn_scal, <- sumn_minus. apply (derive_sumn n (fun i t => part t i * f i)). intros i _. unfold part. auto_derive; auto.
  replace (a * p i + - (a * (a * 1) * q i)) with (a * p i - a ^ 2 * q i) by ring. ring.
Qed.

(** The derivative of a mean: the covariance with the rate of the tilt, [g = p - 2 a q] *)
Definition dM (f : nat -> R) (a : R) : R := M (fun i => f i * p i) a - 2 * a * M (fun i => f i * q i) a - M f a * (M p a - 2 * a * M q a).

Lemma derive_M f a : is_derive (M f) a (dM f a).
Proof.
  pose proof (total_pos a) as HT. pose proof (derive_part f a) as D1. pose proof (derive_part (fun _ => 1) a) as D2.
  assert (Et : forall t, sumn n (fun i => part t i * 1) = total t) by (intros; unfold total; apply sumn_ext; intros; ring).
  assert (E1 : forall u, sumn n (fun i => part a i * (1 * u i)) = sumn n (fun i => part a i * u i)) by (intros; apply sumn_ext; intros; ring).
  rewrite !E1 in D2. apply (is_derive_ext _ total) in D2; [|exact Et].
  apply (is_derive_ext (fun t => sumn n (fun i => part t i * f i) / total t)); [intros; symmetry; apply M_ratio|].
  unfold dM. rewrite !M_ratio.
  set (N := fun t => sumn n (fun i => part t i * f i)) in *. change (is_derive (fun t => N t / total t) a
    (sumn n (fun i => part a i * (f i * p i)) / total a - 2 * a * (sumn n (fun i => part a i * (f i * q i)) / total a)
     - N a / total a * (sumn n (fun i => part a i * p i) / total a - 2 * a * (sumn n (fun i => part a i * q i) / total a)))).
  auto_derive; [repeat split; try (eexists; first [exact D1 | exact D2]); lra|].
  assert (DN : is_derive N a (sumn n (fun i => part a i * (f i * p i)) - 2 * a * sumn n (fun i => part a i * (f i * q i)))) by exact D1.
  rate DN. rate D2. field. lra.
Qed.

Definition ddM (f : nat -> R) (a : R) : R :=
  dM (fun i => f i * p i) a - 2 * M (fun i => f i * q i) a - 2 * a * dM (fun i => f i * q i) a - dM f a * (M p a - 2 * a * M q a)
  - M f a * (dM p a - 2 * M q a - 2 * a * dM q a).

Lemma derive_dM f a : is_derive (dM f) a (ddM f a).
Proof.
  unfold dM at 1. pose proof (derive_M (fun i => f i * p i) a) as D1. pose proof (derive_M (fun i => f i * q i) a) as D2. pose proof (derive_M f a) as D3.
  pose proof (derive_M p a) as D4. pose proof (derive_M q a) as D5.
  set (M1 := M (fun i => f i * p i)) in *. set (M2 := M (fun i => f i * q i)) in *. set (M3 := M f) in *. set (M4 := M p) in *. set (M5 := M q) in *.
  unfold ddM. fold M1 M2 M3 M4 M5.
  auto_derive; [repeat split; eexists; eassumption|].
  rate D1. rate D2. rate D3. rate D4. rate D5. ring.
Qed.

(** It is a covariance with [g' = - 2 q] and a third central moment. *)
Lemma ddM_value f a : let v := share a in let g := fun i => p i - 2 * a * q i in let g' := fun i => -2 * q i in
  ddM f a = av n v (fun i => (f i - av n v f) * (g' i - av n v g')) + av n v (fun i => (f i - av n v f) * (g i - av n v g) ^ 2).
Proof.
  intros v g g'. assert (Hv := share_weights a). fold v in Hv.
  assert (Lg : av n v g = M p a - 2 * a * M q a).
  { unfold M, av, g. fold v. rewrite <- sumn_scal, <- sumn_minus. apply sumn_ext. intros; ring. }
  assert (Lg' : av n v g' = -2 * M q a) by (unfold M, g'; fold v; apply av_scal).
  rewrite Lg, Lg'. change (av n v f) with (M f a).
  set (F := M f a). set (P := M p a). set (Q := M q a).
  assert (X1 : av n v (fun i => (f i - F) * (g' i - -2 * Q)) = -2 * M (fun i => f i * q i) a + 2 * Q * M f a + 2 * F * M q a - 2 * F * Q).
  { unfold M, av. fold v. rewrite <- !sumn_scal. rewrite <- (Rmult_1_r (2 * F * Q)), <- (proj2 Hv) at 1. rewrite <- sumn_scal, <- !sumn_plus, <- sumn_minus.
    apply sumn_ext. intros; unfold g'; ring. }
  set (G := P - 2 * a * Q).
  assert (X2 : av n v (fun i => (f i - F) * (g i - G) ^ 2)
    = M (fun i => f i * p i * p i) a - 4 * a * M (fun i => f i * p i * q i) a + 4 * a ^ 2 * M (fun i => f i * q i * q i) a
      - 2 * G * (M (fun i => f i * p i) a - 2 * a * M (fun i => f i * q i) a) + G ^ 2 * M f a
      - F * (M (fun i => p i * p i) a - 4 * a * M (fun i => p i * q i) a + 4 * a ^ 2 * M (fun i => q i * q i) a) + 2 * F * G * (M p a - 2 * a * M q a) - F * G ^ 2).
  { unfold M, av. fold v. rewrite <- (Rmult_1_r (F * G ^ 2)). rewrite <- (proj2 Hv) at 1.
    rewrite <- !sumn_scal, <- ?sumn_minus, <- ?sumn_plus, <- ?sumn_scal, <- ?sumn_minus, <- ?sumn_plus, <- ?sumn_scal, <- ?sumn_minus, <- ?sumn_plus, <- ?sumn_minus.
    apply sumn_ext. intros; unfold g; ring. }
  rewrite X1, X2. unfold ddM, dM. fold F P Q.
  assert (C : forall u v0 : nat -> R, M (fun i => u i * v0 i) a = M (fun i => v0 i * u i) a) by (intros; unfold M, av; apply sumn_ext; intros; ring).
  assert (C3 : M (fun i => f i * q i * p i) a = M (fun i => f i * p i * q i) a) by (unfold M, av; apply sumn_ext; intros; ring).
  rewrite C3, (C q p). unfold G. ring.
Qed.
End Tilted.

(** ** C1. The explicit remainder *)

Lemma tie_denoiser_series_error a s D R X : s <> 0 ->
  Formulas.denoiser_series_error a s D R X = a ^ 2 * D ^ 2 / (8 * s ^ 2) * (2 * R + D / s ^ 2 * (X + 2 * a * R) ^ 2).
Proof. intros Hs. unfold Formulas.denoiser_series_error. field. auto. Qed.

Section Remainder.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (s : R) (x : vec) (D far : R).
Hypothesis Hw : weights n w.
Hypothesis Hs : 0 < s.
Hypothesis HD : forall i j, (i < n)%nat -> (j < n)%nat -> vnorm d (vminus (y i) (y j)) <= D.
Hypothesis HR : forall i, (i < n)%nat -> vnorm d (y i) <= far.

(** What the series leaves of the denoiser *)
Definition rest (a : R) : vec := fun k => denoiser d n w y a s x k - Formulas.denoiser_series (mean_of n w y k) (cov_times d n w y x k) a s.

Let p i := dot d x (y i) / s ^ 2.
Let q i := sq d (y i) / (2 * s ^ 2).

Lemma D_nonneg : 0 <= D.
Proof. eapply Rle_trans; [apply norm_nonneg|apply (HD 0%nat 0%nat); apply (n_pos n w Hw)]. Qed.
Lemma R_nonneg : 0 <= far.
Proof. eapply Rle_trans; [apply norm_nonneg|apply (HR 0%nat); apply (n_pos n w Hw)]. Qed.

Lemma along e t : dot d e (denoiser d n w y t s x) = M n w p q (fun i => dot d e (y i)) t.
Proof.
  unfold denoiser. rewrite dot_sum_r. unfold M, av. apply sumn_ext. intros i _. rewrite dot_scal_r, bayes_logit by lra. unfold share, part, total.
  assert (L : forall j, logit d t s x (y j) = t * p j - t ^ 2 * q j) by (intros; unfold logit, p, q; field; lra).
  rewrite L. f_equal. f_equal. apply sumn_ext. intros j _. rewrite L. reflexivity.
Qed.

Lemma M_start f : M n w p q f 0 = av n w f.
Proof.
  rewrite M_ratio. assert (P : forall i, part w p q 0 i = w i) by (intros; unfold part; rewrite exp_zero by ring; ring).
  unfold total. rewrite (sumn_ext n (part w p q 0) w) by (intros; apply P). rewrite (proj2 Hw). unfold Rdiv. rewrite Rinv_1, Rmult_1_r.
  apply sumn_ext. intros. rewrite P. reflexivity.
Qed.

Lemma rest_along e a : let F := fun i => dot d e (y i) in dot d e (rest a) = M n w p q F a - M n w p q F 0 - a * dM n w p q F 0.
Proof.
  intros F. unfold rest. assert (Ea : M n w p q F a = dot d e (denoiser d n w y a s x)) by (symmetry; apply along). rewrite Ea.
  assert (Em : M n w p q F 0 = dot d e (mean_of n w y)).
  { rewrite M_start. unfold mean_of. rewrite dot_sum_r. unfold av, F. apply sumn_ext. intros. rewrite dot_scal_r. reflexivity. }
  assert (Ev : dot d e (cov_times d n w y x) = sumn n (fun i => w i * dot d x (y i) * (F i - dot d e (mean_of n w y)))).
  { transitivity (sumn d (fun k => sumn n (fun i => w i * dot d x (y i) * (e k * y i k - e k * mean_of n w y k)))).
    - unfold dot at 1. apply sumn_ext. intros k _. unfold cov_times. rewrite <- sumn_scal. apply sumn_ext. intros; ring.
    - rewrite sumn_swap. apply sumn_ext. intros i _. rewrite sumn_scal, sumn_minus. reflexivity. }
  assert (Ec : dM n w p q F 0 = dot d e (cov_times d n w y x) / s ^ 2).
  { unfold dM. rewrite Em, !M_start, Ev. unfold av, Rdiv. rewrite <- sumn_scal_r.
    rewrite (sumn_ext n (fun i => w i * dot d x (y i) * (F i - dot d e (mean_of n w y)) * / s ^ 2) (fun i => w i * (F i * p i) - dot d e (mean_of n w y) * (w i * p i))).
    - rewrite sumn_minus, sumn_scal. ring.
    - intros i _. unfold p, Rdiv. ring. }
  rewrite Em, Ec. unfold dot. unfold Rdiv. rewrite <- sumn_scal_r, <- sumn_scal, <- !sumn_minus. apply sumn_ext. intros k _. unfold Formulas.denoiser_series. field. lra.
Qed.

Lemma dot_diff e i j : (i < n)%nat -> (j < n)%nat -> dot d e (y i) - dot d e (y j) <= vnorm d e * D.
Proof.
  intros Hi Hj. rewrite <- dot_minus_r. eapply Rle_trans; [apply Rle_abs|]. eapply Rle_trans; [apply dot_le_norm|]. apply Rmult_le_compat_l; [apply norm_nonneg|auto].
Qed.

Lemma sq_diff i j : (i < n)%nat -> (j < n)%nat -> sq d (y i) - sq d (y j) <= 2 * far * D.
Proof.
  intros Hi Hj. replace (sq d (y i) - sq d (y j)) with (dot d (vplus (y i) (y j)) (vminus (y i) (y j))).
  - eapply Rle_trans; [apply Rle_abs|]. eapply Rle_trans; [apply dot_le_norm|]. pose proof (norm_nonneg d (vminus (y i) (y j))). pose proof (norm_nonneg d (vplus (y i) (y j))).
    pose proof (norm_triang d (y i) (y j)). pose proof (HR i Hi). pose proof (HR j Hj). pose proof (HD i j Hi Hj). apply Rmult_le_compat; lra.
  - rewrite dot_minus_r, !dot_plus_l, (dot_comm d (y j) (y i)). unfold sq. ring.
Qed.

Theorem C1_remainder a : 0 <= a -> vnorm d (rest a) <= Formulas.denoiser_series_error a s D far (vnorm d x).
Proof.
  intros Ha. rewrite tie_denoiser_series_error by lra. set (e := rest a). set (X := vnorm d x). set (N := vnorm d e).
  assert (HN : 0 <= N) by apply norm_nonneg. assert (HX : 0 <= X) by apply norm_nonneg. pose proof D_nonneg as HD0. pose proof R_nonneg as HR0.
  assert (S2 : 0 < s ^ 2) by (apply pow_lt; auto).
  set (F := fun i => dot d e (y i)).
  assert (B : Rabs (M n w p q F a - M n w p q F 0 - a * dM n w p q F 0) <= (N * D * (2 * far * D / s ^ 2) / 4 + N * D * (((X * D + 2 * a * far * D) / s ^ 2) ^ 2 / 4)) * (a ^ 2 / 2)).
  { apply (taylor_two (M n w p q F) (dM n w p q F) (ddM n w p q F) a); auto; [intros; apply derive_M; auto|intros; apply derive_dM; auto|].
    intros t Ht. rewrite (ddM_value n w p q Hw F t). assert (Hv := share_weights n w p q Hw t).
    assert (WF : within n F (N * D)) by (intros i j Hi Hj; apply dot_diff; auto).
    eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
    - apply covariance_range; auto.
      + intros i j Hi Hj. unfold q. replace (-2 * (sq d (y i) / (2 * s ^ 2)) - -2 * (sq d (y j) / (2 * s ^ 2))) with ((sq d (y j) - sq d (y i)) * / s ^ 2) by (field; lra).
        unfold Rdiv. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; auto|apply sq_diff; auto].
      + apply Rmult_le_pos; auto.
      + apply Rdiv_le_0_compat; auto. apply Rmult_le_pos; lra.
    - eapply Rle_trans; [apply (third_range n (share n w p q t) Hv F _ (N * D) ((X * D + 2 * t * far * D) / s ^ 2)); auto|].
      + intros i j Hi Hj. unfold p, q.
        replace (dot d x (y i) / s ^ 2 - 2 * t * (sq d (y i) / (2 * s ^ 2)) - (dot d x (y j) / s ^ 2 - 2 * t * (sq d (y j) / (2 * s ^ 2))))
          with ((dot d x (y i) - dot d x (y j) + t * (sq d (y j) - sq d (y i))) * / s ^ 2) by (field; lra).
        unfold Rdiv. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; auto|]. pose proof (dot_diff x i j Hi Hj). fold X in H. pose proof (sq_diff j i Hj Hi). nra.
      + apply Rmult_le_pos; auto.
      + apply Rmult_le_compat_l; [apply Rmult_le_pos; auto|]. apply Rmult_le_compat_r; [lra|]. apply pow_incr. split.
        * apply Rdiv_le_0_compat; auto. assert (0 <= X * D) by (apply Rmult_le_pos; auto). assert (0 <= 2 * t * far * D) by (apply Rmult_le_pos; auto; apply Rmult_le_pos; lra). lra.
        * unfold Rdiv. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; auto|]. assert (2 * t * far * D <= 2 * a * far * D); [|lra].
          apply Rmult_le_compat_r; auto. apply Rmult_le_compat_r; lra. }
  replace (M n w p q F a - M n w p q F 0 - a * dM n w p q F 0) with (N * N) in B.
  2:{ unfold N. rewrite norm_sq. unfold sq. exact (rest_along e a). }
  rewrite Rabs_right in B by (apply Rle_ge, Rmult_le_pos; auto).
  destruct HN as [HN|HN].
  - apply Rmult_le_reg_l with N; auto. eapply Rle_trans; [exact B|]. right. field. lra.
  - rewrite <- HN. apply Rmult_le_pos; [apply Rdiv_le_0_compat; [apply Rmult_le_pos; apply pow2_ge_0|lra]|]. apply Rplus_le_le_0_compat; [lra|].
    apply Rmult_le_pos; [apply Rdiv_le_0_compat; auto|apply pow2_ge_0].
Qed.
End Remainder.

(** So the error is O(alpha^2), uniformly for x in a ball and sigma above any positive number: on every schedule with sigma_1 > 0. *)
Theorem C1_order d n w y X s0 : weights n w -> 0 < s0 -> exists K, forall a s x, 0 <= a <= 1 -> s0 <= s -> vnorm d x <= X -> vnorm d (rest d n w y s x a) <= K * a ^ 2.
Proof.
  intros Hw Hs0. set (R := sumn n (fun i => vnorm d (y i))). set (D := 2 * R).
  assert (HR : forall i, (i < n)%nat -> vnorm d (y i) <= R) by (intros i Hi; apply (sumn_term n (fun i => vnorm d (y i))); auto; intros; apply norm_nonneg).
  assert (HD : forall i j, (i < n)%nat -> (j < n)%nat -> vnorm d (vminus (y i) (y j)) <= D).
  { intros i j Hi Hj. rewrite (norm_ext d (vminus (y i) (y j)) (vplus (y i) (vscal (-1) (y j)))) by (intros; unfold vminus, vplus, vscal; ring).
    eapply Rle_trans; [apply norm_triang|]. rewrite norm_scal, Rabs_left by lra. pose proof (HR i Hi). pose proof (HR j Hj). unfold D. lra. }
  assert (HR0 : 0 <= R) by (apply sumn_nonneg; intros; apply norm_nonneg). assert (HD0 : 0 <= D) by (unfold D; lra).
  exists (D ^ 2 / (8 * s0 ^ 2) * (2 * R + D / s0 ^ 2 * (X + 2 * R) ^ 2)). intros a s x Ha Hs Hx.
  eapply Rle_trans; [apply (C1_remainder d n w y s x D R Hw ltac:(lra) HD HR a ltac:(lra))|]. rewrite tie_denoiser_series_error by lra.
  assert (S0 : 0 < s0 ^ 2) by (apply pow_lt; auto). assert (S1 : s0 ^ 2 <= s ^ 2) by (apply pow_incr; lra). pose proof (norm_nonneg d x).
  assert (I1 : / s ^ 2 <= / s0 ^ 2) by (apply Rinv_le_contravar; auto). assert (I0 : 0 < / s ^ 2) by (apply Rinv_0_lt_compat; lra).
  replace (a ^ 2 * D ^ 2 / (8 * s ^ 2) * (2 * R + D / s ^ 2 * (vnorm d x + 2 * a * R) ^ 2)) with (D ^ 2 / 8 * / s ^ 2 * (2 * R + D * / s ^ 2 * (vnorm d x + 2 * a * R) ^ 2) * a ^ 2) by (field; lra).
  replace (D ^ 2 / (8 * s0 ^ 2) * (2 * R + D / s0 ^ 2 * (X + 2 * R) ^ 2) * a ^ 2) with (D ^ 2 / 8 * / s0 ^ 2 * (2 * R + D * / s0 ^ 2 * (X + 2 * R) ^ 2) * a ^ 2) by (field; lra).
  apply Rmult_le_compat_r; [apply pow2_ge_0|]. assert (0 <= D ^ 2) by apply pow2_ge_0. assert (0 <= 2 * a * R) by (apply Rmult_le_pos; lra).
  assert (2 * a * R <= 2 * R) by nra. assert (P1 : (vnorm d x + 2 * a * R) ^ 2 <= (X + 2 * R) ^ 2) by (apply pow_incr; lra). pose proof (pow2_ge_0 (vnorm d x + 2 * a * R)).
  apply Rmult_le_compat.
  - apply Rmult_le_pos; lra.
  - apply Rplus_le_le_0_compat; [lra|]. apply Rmult_le_pos; auto. apply Rmult_le_pos; lra.
  - apply Rmult_le_compat_l; lra.
  - apply Rplus_le_compat_l. apply Rmult_le_compat; auto; [apply Rmult_le_pos; lra|]. apply Rmult_le_compat_l; auto.
Qed.

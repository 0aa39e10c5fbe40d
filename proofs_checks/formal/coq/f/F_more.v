(** F, continued: the two ends for laws that are not Gaussian (F4), the first step in nats (F5), resolution (F6) and the response of any
    sampler that is linear in its start and its noises (F10). *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas A E F B Posterior D_time B_small Info C_start.
Local Open Scope R_scope.

(** ** F6. Resolution *)

Lemma tie_resolution_shift d d0 : Formulas.resolution_shift d d0 = sqrt (d / d0).
Proof. reflexivity. Qed.

(** On rectified flow a shift by [sqrt (d/d0)] keeps along [c d] what was kept along [c d0]. *)
Theorem F6_shift n (t : nat -> R) c dim dim0 : 0 < c -> 0 < dim -> 0 < dim0 -> (forall k, (k <= n)%nat -> 0 <= t k <= 1) ->
  let S := Formulas.resolution_shift dim dim0 in
  kept (c * dim) n (fun k => 1 - shifted S (t k)) (fun k => shifted S (t k)) = kept (c * dim0) n (fun k => 1 - t k) (fun k => t k).
Proof.
  intros Hc Hd H0 Ht S. assert (0 < dim / dim0) by (apply Rdiv_lt_0_compat; auto). rewrite F3_shift; auto.
  - f_equal. unfold S. rewrite tie_resolution_shift, pow2_sqrt by lra. field. lra.
  - apply sqrt_lt_R0. auto.
  - apply Rmult_lt_0_compat; auto.
Qed.

(** Pictures whose pixels are repeated [m] times *)
Definition repeated (m : nat) (v : vec) : vec := fun k => v (k / m)%nat.
Definition cov_entry (n : nat) (w : nat -> R) (y : nat -> vec) (k l : nat) : R :=
  sumn n (fun i => w i * (y i k - mean_of n w y k) * (y i l - mean_of n w y l)).
Definition eigen (d : nat) (C : nat -> nat -> R) (v : vec) (lam : R) : Prop := forall k, (k < d)%nat -> sumn d (fun l => C k l * v l) = lam * v k.

Lemma sumn_app a b f : sumn (a + b) f = sumn a f + sumn b (fun i => f (a + i)%nat).
Proof. induction b; simpl; [rewrite Nat.add_0_r; ring|]. rewrite Nat.add_succ_r. simpl. rewrite IHb. ring. Qed.

Lemma sumn_repeated d m f : (0 < m)%nat -> sumn (d * m) (fun l => f (l / m)%nat) = INR m * sumn d f.
Proof.
  intros Hm. induction d; [simpl; ring|]. replace (S d * m)%nat with (d * m + m)%nat by lia. rewrite sumn_app, IHd.
  rewrite (sumn_ext m _ (fun _ => f d)); [rewrite sumn_const; simpl; ring|].
  intros i Hi. f_equal. rewrite Nat.div_add_l by lia. rewrite Nat.div_small by auto. lia.
Qed.

(** Their covariance has, along the repeated picture, [m] times the eigenvalue: it grows like the number of pixels. *)
Theorem F6_enlarged d m n w (y : nat -> vec) v lam : (0 < m)%nat -> eigen d (cov_entry n w y) v lam ->
  eigen (d * m) (cov_entry n w (fun i => repeated m (y i))) (repeated m v) (INR m * lam).
Proof.
  intros Hm H k Hk. assert (Hkm : (k / m < d)%nat) by (apply Nat.div_lt_upper_bound; lia).
  rewrite (sumn_ext (d * m) _ (fun l => cov_entry n w y (k / m)%nat (l / m)%nat * v (l / m)%nat)) by (intros; reflexivity).
  rewrite (sumn_repeated d m (fun j => cov_entry n w y (k / m)%nat j * v j) Hm), (H _ Hkm). unfold repeated. ring.
Qed.

(** With a matched first step large eigenvalues need no shift: all steps but the first keep everything as [lam = 1/x] grows. *)
Theorem F6_matched n (al si : nat -> R) : (forall k, (k <= n)%nat -> 0 < al k /\ 0 <= si k) ->
  filterlim (fun x => kept (/ x) n al si) (at_right 0) (locally 1).
Proof.
  intros H. unfold kept. induction n; [apply (flim_const (at_right 0) 1)|]. cbn [prodn].
  replace 1 with (1 * 1) by ring. apply (flim_mult (at_right 0)); [apply IHn; intros; apply H; lia|]. clear IHn.
  destruct (H n) as [A0 S0]; [lia|]. destruct (H (S n)) as [A1 S1]; [lia|].
  set (a := al n) in *. set (s := si n) in *. set (b := al (S n)) in *. set (q := si (S n)) in *.
  assert (Id : filterlim (fun x : R => x) (at_right 0) (locally 0)) by (apply filter_le_within).
  apply (flim_eq (at_right 0) (fun x => (b * a + q * s * x) / sqrt ((b ^ 2 + q ^ 2 * x) * (a ^ 2 + s ^ 2 * x))) _ ((b * a + q * s * 0) / sqrt ((b ^ 2 + q ^ 2 * 0) * (a ^ 2 + s ^ 2 * 0)))).
  - exists (mkposreal 1 Rlt_0_1). intros x _ Hx.
    assert (Hi : 0 < / x) by (apply Rinv_0_lt_compat; auto).
    assert (Va : 0 < var_t a s (/ x)) by (unfold var_t; assert (0 < a ^ 2 * / x) by (apply Rmult_lt_0_compat; auto; apply pow_lt; auto); pose proof (pow2_ge_0 s); lra).
    assert (Vb : 0 < var_t b q (/ x)) by (unfold var_t; assert (0 < b ^ 2 * / x) by (apply Rmult_lt_0_compat; auto; apply pow_lt; auto); pose proof (pow2_ge_0 q); lra).
    rewrite <- (F1_step_kept (/ x) ltac:(lra) a s b q) by (auto; lra). rewrite tie_step_kept.
    replace (var_t b q (/ x) * var_t a s (/ x)) with ((b ^ 2 + q ^ 2 * x) * (a ^ 2 + s ^ 2 * x) / (x ^ 2)) by (unfold var_t; field; lra).
    rewrite sqrt_div_alt by (apply pow_lt; auto). rewrite sqrt_pow2 by lra.
    assert (0 < sqrt ((b ^ 2 + q ^ 2 * x) * (a ^ 2 + s ^ 2 * x))).
    { apply sqrt_lt_R0. assert (0 < b ^ 2) by (apply pow_lt; auto). assert (0 < a ^ 2) by (apply pow_lt; auto).
      assert (0 <= q ^ 2 * x) by (apply Rmult_le_pos; [apply pow2_ge_0|lra]). assert (0 <= s ^ 2 * x) by (apply Rmult_le_pos; [apply pow2_ge_0|lra]).
      apply Rmult_lt_0_compat; lra. }
    field. split; lra.
  - rewrite !Rmult_0_r, !Rplus_0_r. replace (b ^ 2 * a ^ 2) with ((b * a) ^ 2) by ring. assert (0 < b * a) by (apply Rmult_lt_0_compat; auto).
    rewrite sqrt_pow2 by lra. field. lra.
  - apply (flim_div (at_right 0) (fun x => b * a + q * s * x) (fun x => sqrt ((b ^ 2 + q ^ 2 * x) * (a ^ 2 + s ^ 2 * x)))
      (b * a + q * s * 0) (sqrt ((b ^ 2 + q ^ 2 * 0) * (a ^ 2 + s ^ 2 * 0)))).
    + flim.
    + apply (flim_comp (at_right 0) (fun x => (b ^ 2 + q ^ 2 * x) * (a ^ 2 + s ^ 2 * x)) sqrt); [flim|].
      apply continuity_pt_filterlim, continuity_pt_sqrt. rewrite !Rmult_0_r, !Rplus_0_r. apply Rmult_le_pos; apply pow2_ge_0.
    + rewrite !Rmult_0_r, !Rplus_0_r. apply Rgt_not_eq, sqrt_lt_R0, Rmult_lt_0_compat; apply pow_lt; auto.
Qed.

(** ** F10. The response of a sampler

    Deviations from [alpha mu] along an eigenvector. The start is [u 0] times its width, and every further state is linear in all states before
    it, in the denoiser's answers to them ([slope j] times the state) and in the noises [u]: DDIM at any eta, Heun's rule, multistep rules. *)

Section Sampler.
Variables (N : nat) (width : R) (slope : nat -> R) (A C B : nat -> nat -> R).
Hypothesis HN : (0 < N)%nat.

(** The states up to step [k], under the noises [u] *)
Fixpoint states (k : nat) (u : vec) : nat -> R :=
  match k with
  | O => fun j => if Nat.eqb j 0 then width * u 0%nat else 0
  | S k' => fun j => if Nat.eqb j (S k')
      then sumn (S k') (fun i => A k' i * states k' u i + C k' i * (slope i * states k' u i)) + sumn N (fun i => B k' i * u i)
      else states k' u j
  end.
(** What arrives of noise [i] alone: the sampler is run on the unit noise. *)
Definition response (k i : nat) : R := states k (unit i 1) k.

Theorem F10_linear k u j : states k u j = sumn N (fun i => states k (unit i 1) j * u i).
Proof.
  revert j. induction k; intros j; simpl.
  - destruct (Nat.eqb j 0).
    + rewrite (sumn_ext N _ (fun i => if Nat.eqb i 0 then width * u i else 0)); [symmetry; apply (sumn_single N 0 (fun i => width * u i)); auto|].
      intros i _. unfold unit. destruct i; simpl; ring.
    + rewrite sumn_zero; auto. intros; ring.
  - destruct (Nat.eqb j (S k)); [|apply IHk].
    fold (sumn (S k) (fun i => A k i * states k u i + C k i * (slope i * states k u i))).
    change (sumn k (fun i => A k i * states k u i + C k i * (slope i * states k u i)) + (A k k * states k u k + C k k * (slope k * states k u k)))
      with (sumn (S k) (fun i => A k i * states k u i + C k i * (slope i * states k u i))).
    rewrite (sumn_ext (S k) _ (fun i => sumn N (fun l => (A k i + C k i * slope i) * states k (unit l 1) i * u l))).
    2:{ intros i _. rewrite IHk. rewrite (sumn_ext N (fun l => (A k i + C k i * slope i) * states k (unit l 1) i * u l) (fun l => (A k i + C k i * slope i) * (states k (unit l 1) i * u l))) by (intros; ring).
        rewrite sumn_scal. ring. }
    rewrite sumn_swap, <- sumn_plus. apply sumn_ext. intros l Hl.
    change (sumn k (fun i => A k i * states k (unit l 1) i + C k i * (slope i * states k (unit l 1) i)) + (A k k * states k (unit l 1) k + C k k * (slope k * states k (unit l 1) k)))
      with (sumn (S k) (fun i => A k i * states k (unit l 1) i + C k i * (slope i * states k (unit l 1) i))).
    rewrite (sumn_ext (S k) (fun i => A k i * states k (unit l 1) i + C k i * (slope i * states k (unit l 1) i)) (fun i => (A k i + C k i * slope i) * states k (unit l 1) i)) by (intros; ring).
    rewrite (sumn_scal_r (S k) (u l) (fun i => (A k i + C k i * slope i) * states k (unit l 1) i)).
    rewrite (sumn_ext N (fun i => B k i * unit l 1 i) (fun i => if Nat.eqb i l then B k i else 0)) by (intros i _; unfold unit; destruct (Nat.eqb i l); ring).
    rewrite (sumn_single N l (fun i => B k i)) by auto. ring.
Qed.
End Sampler.

Lemma E1_square : E1 (fun x => x ^ 2) = 1.
Proof.
  pose proof (E_ratio_sq 1 (fun _ => 0) 0 ltac:(lia)) as Q. simpl in Q.
  rewrite (functional_extensionality (fun x => x ^ 2) (fun x => ratio 1 (fun _ => 0) (upd 0 (fun _ => 0) x) * (upd 0 (fun _ => 0) x 0%nat * (upd 0 (fun _ => 0) x 0%nat * 1)))).
  - rewrite Q. ring.
  - intros x. unfold ratio, dot, sq, dot, upd. simpl. rewrite exp_zero by field. ring.
Qed.

Lemma E_dot_0 d c : E d (fun u => dot d c u) = 0.
Proof.
  rewrite (E_ext d _ (fun u => ratio d (fun _ => 0) u * dot d c u)).
  - rewrite E_ratio_dot. unfold dot. apply sumn_zero. intros; ring.
  - intros u. unfold ratio. rewrite exp_zero; [ring|]. unfold sq, dot. rewrite !sumn_zero by (intros; ring). field.
Qed.

(** Independent noises of unit variance: the variance of a linear combination *)
Lemma E_dot_sq d c : E d (fun u => dot d c u ^ 2) = sq d c.
Proof.
  induction d; [simpl; unfold dot, sq; simpl; unfold dot; simpl; ring|]. cbn [E].
  rewrite (functional_extensionality (fun x => E d (fun u => dot (S d) c (upd d u x) ^ 2)) (fun x => sq d c + c d ^ 2 * x ^ 2)).
  - assert (T2 : tame1 (fun x => x ^ 2)).
    { pose proof (proj2 (proj2 (proj2 (E_facts 0))) (fun v => v 0%nat ^ 2) (tame_sq 1 0 ltac:(lia))) as T. simpl in T. unfold upd in T; simpl in T. exact T. }
    rewrite (E1_plus (fun _ => sq d c)); [|apply tame1_const|apply (tame1_scal (c d ^ 2) (fun x => x ^ 2)); auto].
    rewrite (E1_scal (c d ^ 2) (fun x => x ^ 2)) by auto. rewrite E1_square.
    pose proof (E_const 1 (sq d c)) as C1. simpl in C1. rewrite C1. unfold sq, dot. simpl. ring.
  - intros x. rewrite (E_ext d _ (fun u => dot d c u ^ 2 + (2 * (c d * x) * dot d c u + (c d * x) ^ 2))).
    + rewrite E_plus, E_plus, E_scal, E_dot_0, E_const, IHd.
      * ring.
      * apply tame_dot.
      * apply tame_scal, tame_dot.
      * apply tame_const.
      * apply (tame_pow d (fun u => dot d c u)), tame_dot.
      * apply tame_plus; [apply tame_scal, tame_dot|apply tame_const].
    + intros u. unfold dot. rewrite (upd_sum d (fun k z => c k * z)). ring.
Qed.

(** The variance that arrives is the sum of the squared responses, run one at a time. *)
Theorem F10_variance N width slope A C B k : (0 < N)%nat ->
  E N (fun u => states N width slope A C B k u k ^ 2) = sumn N (fun i => response N width slope A C B k i ^ 2).
Proof.
  intros HN. rewrite (E_ext N _ (fun u => dot N (response N width slope A C B k) u ^ 2)) by (intros; rewrite F10_linear by auto; reflexivity).
  rewrite E_dot_sq. unfold sq, dot. apply sumn_ext. intros; ring.
Qed.

(** Two noises of equal response: they do not add. *)
Theorem F10_twin_add : exists A C B slope, let r := response 2 1 slope A C B 1 in
  E 2 (fun u => states 2 1 slope A C B 1 u 1%nat ^ 2) <> sumn 2 r ^ 2.
Proof.
  exists (fun _ _ => 1), (fun _ _ => 0), (fun _ i => match i with O => 0 | _ => 1 end), (fun _ => 0). intros r.
  rewrite F10_variance by lia. unfold r, response. simpl. unfold unit; simpl. lra.
Qed.

Theorem F6_twin_linear : exists dim dim0 lam t, 0 < lam /\ 0 < t < 1 /\ 0 < dim0 /\
  angle (1 - shifted (dim / dim0) t) (shifted (dim / dim0) t) (lam * dim) <> angle (1 - t) t (lam * dim0).
Proof.
  exists 4, 1, 1, (1 / 2). repeat split; try lra. unfold shifted. rewrite !F1_angle_atan by lra.
  intros Heq. apply (f_equal tan) in Heq. rewrite !tan_atan in Heq. unfold snr_of in Heq. apply sqrt_inj in Heq; [lra| |]; lra.
Qed.

(** ** F5. The first step in nats *)

(** C5 with information: what the first step leaves, the posterior at alpha_1 = 0 being the law itself *)
Theorem F5_information d n w y a s : weights n w -> 0 < s ->
  is_RInt (fun h => (mmse d n w (xi n w y) 0 - mmse d n w (xi n w y) (sqrt h)) / 2) 0 (snr_of a s) (KL d n w (shift n w y (snr_of a s))).
Proof.
  intros Hw Hs. assert (Z : mmse d n w (xi n w y) 0 = trC d n w y).
  { rewrite (mmse_explained d n w y Hw). unfold explained. rewrite (E_ext d _ (fun _ => 0)); [rewrite E_const; ring|]. intros u.
    assert (X : forall k, hat d n w (xi n w y) 0 u k = 0).
    { intros k. rewrite (xhat_coord d n w y). unfold Rdiv. apply Rmult_eq_0_compat_r.
      rewrite (sumn_ext n _ (fun i => w i * xi n w y i k)).
      - apply xi_centred. exact Hw.
      - intros i _. unfold ratio. rewrite dot_scal_l, sq_scal, exp_zero by field. ring. }
    unfold sq, dot. rewrite sumn_zero; [ring|]. intros k _. rewrite X. ring. }
  rewrite Z. apply B4_immse; auto. unfold snr_of. apply Rdiv_le_0_compat; [apply pow2_ge_0|apply pow_lt; auto].
Qed.

(** Matching the chosen directions takes away their terms, for every law. *)
Definition chosen_log (d n : nat) p y g (b : nat -> bool) (u : vec) : R :=
  sumn d (fun k => if b k then - ln (1 + g * lam n p y k) / 2 else 0) + quad d (fun k => if b k then (1 - / (1 + g * lam n p y k)) / 2 else 0) u.

Theorem F5_gain d n p y g b : weights n p -> 0 <= g ->
  KL d n p (shift n p y g) - KL_to d n p (shift n p y g) (chosen_log d n p y g b)
  = sumn d (fun k => if b k then Formulas.kl_gauss_term g (lam n p y k) else 0).
Proof.
  intros Hw Hg.
  assert (Tl : tame d (chosen_log d n p y g b)) by (apply (tame_plus d (fun _ => _)); [apply tame_const|apply tame_quad]).
  rewrite (kl_to_split d n p Hw) by exact Tl. replace (KL d n p (shift n p y g) - (KL d n p (shift n p y g) - E d (fun u => mix d n p (shift n p y g) u * chosen_log d n p y g b u)))
    with (E d (fun u => mix d n p (shift n p y g) u * chosen_log d n p y g b u)) by ring.
  unfold chosen_log. set (c := sumn d (fun k => if b k then - ln (1 + g * lam n p y k) / 2 else 0)).
  set (S := fun k => if b k then (1 - / (1 + g * lam n p y k)) / 2 else 0).
  rewrite (E_ext d _ (fun u => c * mix d n p (shift n p y g) u + mix d n p (shift n p y g) u * quad d S u)) by (intros; ring).
  rewrite E_plus, E_scal, E_mix_1, (E_mix_quad d n p), (second_moments d n p y g Hw Hg); auto;
    [|apply tame_mix|apply tame_scal, tame_mix|apply tame_mult; [apply tame_mix|apply tame_quad]].
  unfold c, S. rewrite Rmult_1_r, <- sumn_plus. apply sumn_ext. intros k _. destruct (b k); [|ring]. rewrite tie_kl_gauss_term. unfold kl_gauss.
  pose proof (spread_pos n p y g Hw Hg k). field. lra.
Qed.

(** KL of N(m, v) from N(m', v') on a line *)
Definition kl_line (m v m' v' : R) : R := ((v + (m - m') ^ 2) / v' - 1 - ln (v / v')) / 2.

(** For Gaussian data the flow to the end is an affine map along each eigenvector (C7), which keeps KL. *)
Theorem F5_unreduced c0 k m v m' v' : k <> 0 -> 0 < v -> 0 < v' -> kl_line (c0 + k * m) (k ^ 2 * v) (c0 + k * m') (k ^ 2 * v') = kl_line m v m' v'.
Proof.
  intros Hk Hv Hv'. unfold kl_line. replace (k ^ 2 * v / (k ^ 2 * v')) with (v / v') by (field; lra). f_equal. f_equal. f_equal. field. lra.
Qed.

Theorem F5_twin_half : exists g l, 0 < g /\ 0 < l /\ Formulas.kl_gauss_term g l <> ln (1 + g * l) / 2.
Proof. exists 1, 4. repeat split; try lra. rewrite tie_kl_gauss_term. unfold kl_gauss. assert (ln (1 + 1 * 4) < 1.9) by interval. lra. Qed.

(** ** F4. The mirror is broken by the data: the last step, on a line

    A coupling of the end's law with the data's is its expectation [L] of functions of the noised point u and the atom j. Of it only this is used:
    whatever lies above a function of u alone plus one of j alone costs at least their means. *)
Definition coupling (n : nat) (w : nat -> R) (r : vec -> R) (L : (vec -> nat -> R) -> R) : Prop :=
  forall (f : vec -> R) (h : nat -> R) (k : vec -> nat -> R), tame 1 f -> (forall j, (j < n)%nat -> tame 1 (fun u => k u j)) ->
  (forall u j, (j < n)%nat -> f u + h j <= k u j) -> E 1 (fun u => r u * f u) + sumn n (fun j => w j * h j) <= L k.

Section Last.
Variables (n : nat) (w : nat -> R) (y : nat -> vec) (s : R).
Hypothesis Hw : weights n w.
Notation xi_ := (xi n w y).
Notation r := (mix 1 n w (fun i => vscal s (xi_ i))).
Notation denoised u := (hat 1 n w xi_ s u 0%nat).
Notation lam0 := (trC 1 n w y).
Notation V := (explained 1 n w y s).

Lemma trC_line : lam0 = sumn n (fun j => w j * xi_ j 0%nat ^ 2).
Proof. unfold trC. apply sumn_ext. intros j _. unfold sq, dot. simpl. ring. Qed.

Lemma explained_line : V = E 1 (fun u => r u * denoised u ^ 2).
Proof. unfold explained. apply E_ext. intros u. unfold sq, dot. simpl. ring. Qed.

(** The end of the last step is the denoiser's answer. In the coupling through the noised point it costs the denoiser's own error, [mmse]: W2 is harmless. *)
Theorem F4_upper : exists L, coupling n w r L /\ L (fun u j => (denoised u - xi_ j 0%nat) ^ 2) = mmse 1 n w xi_ s.
Proof.
  exists (fun k => Ejoint 1 n w xi_ s (fun i u => k u i)). split.
  - intros f h k Tf Tk H. unfold Ejoint. change (at_r xi_ s) with (fun i => vscal s (xi_ i)).
    assert (Tj : forall i q, tame 1 q -> tame 1 (fun u => w i * ratio 1 (vscal s (xi_ i)) u * q u)) by (intros; apply (tame_mult 1 (fun u => w i * ratio 1 (vscal s (xi_ i)) u)); auto; apply tame_scal, tame_ratio).
    apply Rle_trans with (E 1 (fun u => sumn n (fun i => w i * ratio 1 (vscal s (xi_ i)) u * (f u + h i)))).
    + right. rewrite (E_ext 1 (fun u => sumn n (fun i => w i * ratio 1 (vscal s (xi_ i)) u * (f u + h i))) (fun u => r u * f u + sumn n (fun i => w i * h i * ratio 1 (vscal s (xi_ i)) u))).
      * rewrite E_plus.
        -- f_equal. rewrite (E_sum 1 n (fun i u => w i * h i * ratio 1 (vscal s (xi_ i)) u)) by (intros; apply tame_scal, tame_ratio).
           apply sumn_ext. intros i _. rewrite E_scal, E_ratio by apply tame_ratio. ring.
        -- apply tame_mult; auto. apply tame_mix.
        -- apply (tame_sum 1 n (fun i u => w i * h i * ratio 1 (vscal s (xi_ i)) u)). intros. apply tame_scal, tame_ratio.
      * intros u. unfold mix. rewrite <- sumn_scal_r, <- sumn_plus. apply sumn_ext. intros; ring.
    + apply E_le.
      * apply (tame_sum 1 n (fun i u => w i * ratio 1 (vscal s (xi_ i)) u * (f u + h i))). intros i Hi. apply Tj, tame_plus; auto. apply tame_const.
      * apply (tame_sum 1 n (fun i u => w i * ratio 1 (vscal s (xi_ i)) u * k u i)). intros i Hi. apply (Tj i (fun u => k u i)); auto.
      * intros u. apply sumn_le. intros i Hi. apply Rmult_le_compat_l; auto. apply Rmult_le_pos; [apply Hw; auto|left; apply ratio_pos].
  - unfold mmse, Ejoint. apply E_ext. intros u. apply sumn_ext. intros i _. f_equal. unfold sq, dot, vminus. simpl. ring.
Qed.

(** Divided by its cosine, so that the deviation is multiplied by [c], it is off by [c sqrt(V) - sqrt(lam)] at least in every coupling, [V] the variance
    of the denoiser's answer. *)
Theorem F4_every_coupling L c : coupling n w r L -> 0 < c -> 0 < V -> 0 < lam0 ->
  (c * sqrt V - sqrt lam0) ^ 2 <= L (fun u j => (c * denoised u - xi_ j 0%nat) ^ 2).
Proof.
  intros HL Hc HV Hl. set (a := c * sqrt V). set (b := sqrt lam0).
  assert (Ha : 0 < a) by (apply Rmult_lt_0_compat; auto; apply sqrt_lt_R0; auto). assert (Hb : 0 < b) by (apply sqrt_lt_R0; auto).
  assert (Ea : a * a = c ^ 2 * V) by (unfold a; replace (c * sqrt V * (c * sqrt V)) with (c ^ 2 * (sqrt V * sqrt V)) by ring; rewrite sqrt_sqrt by lra; auto).
  assert (Eb : b * b = lam0) by (apply sqrt_sqrt; lra).
  assert (Td : tame 1 (fun u => denoised u)) by (apply tame_hat; auto).
  assert (T2 : tame 1 (fun u => denoised u ^ 2)) by (apply (tame_pow 1 (fun u => denoised u) 2); auto).
  specialize (HL (fun u => (1 - b / a) * c ^ 2 * denoised u ^ 2) (fun j => (1 - a / b) * xi_ j 0%nat ^ 2) (fun u j => (c * denoised u - xi_ j 0%nat) ^ 2)).
  eapply Rle_trans; [|apply HL].
  - right. rewrite (E_ext 1 _ (fun u => (1 - b / a) * c ^ 2 * (r u * denoised u ^ 2))) by (intros; ring).
    rewrite E_scal by (apply tame_mult; auto; apply tame_mix). rewrite <- explained_line.
    rewrite (sumn_ext n _ (fun j => (1 - a / b) * (w j * xi_ j 0%nat ^ 2))) by (intros; ring). rewrite sumn_scal, <- trC_line.
    replace ((1 - b / a) * c ^ 2 * V) with ((1 - b / a) * (c ^ 2 * V)) by ring. rewrite <- Ea, <- Eb. field. split; lra.
  - apply tame_scal; auto.
  - intros j _. apply (tame_pow 1 (fun u => c * denoised u - xi_ j 0%nat) 2). apply tame_minus; [apply tame_scal; auto|apply tame_const].
  - intros u j _. set (z := c * denoised u). set (x := xi_ j 0%nat). replace ((1 - b / a) * c ^ 2 * denoised u ^ 2) with ((1 - b / a) * z ^ 2) by (unfold z; ring).
    enough (0 <= b / a * z ^ 2 - 2 * z * x + a / b * x ^ 2) by nra.
    replace (b / a * z ^ 2 - 2 * z * x + a / b * x ^ 2) with ((b * z - a * x) ^ 2 / (a * b)) by (field; split; lra).
    apply Rdiv_le_0_compat; [apply pow2_ge_0|apply Rmult_lt_0_compat; auto].
Qed.

(** So, with the cosine [1/c = sqrt(g lam/(1 + g lam))], at least by [sqrt(lam) (c - 1) - c sqrt(mmse)]. *)
Theorem F4_lower c : 1 <= c -> 0 < V -> 0 < lam0 -> let m := mmse 1 n w xi_ s in
  sqrt lam0 * (c - 1) - c * sqrt m <= c * sqrt V - sqrt lam0.
Proof.
  intros Hc HV Hl m.
  assert (Em : m = lam0 - V) by (apply (mmse_explained 1 n w y Hw)).
  assert (Hm : 0 <= m).
  { unfold m, mmse, Ejoint. rewrite <- (E_const 1 0). change (at_r xi_ s) with (fun i => vscal s (xi_ i)). apply E_le; [apply tame_const| |].
    - apply (tame_sum 1 n (fun i u => w i * ratio 1 (vscal s (xi_ i)) u * sq 1 (vminus (xi_ i) (hat 1 n w xi_ s u)))). intros i _.
      apply (tame_mult 1 (fun u => w i * ratio 1 (vscal s (xi_ i)) u)); [apply tame_scal, tame_ratio|].
      apply (tame_sum 1 1 (fun k u => vminus (xi_ i) (hat 1 n w xi_ s u) k * vminus (xi_ i) (hat 1 n w xi_ s u) k)). intros k _.
      apply (tame_mult 1 (fun u => vminus (xi_ i) (hat 1 n w xi_ s u) k)); apply (tame_minus 1 (fun _ => xi_ i k)); try apply tame_const; apply tame_hat; auto.
    - intros u. apply sumn_nonneg. intros i Hi. apply Rmult_le_pos; [apply Rmult_le_pos; [apply Hw; auto|left; apply ratio_pos]|apply sq_nonneg]. }
  enough (sqrt lam0 <= sqrt V + sqrt m) by nra.
  replace lam0 with (V + m) by lra.
  pose proof (sqrt_pos V). pose proof (sqrt_pos m). rewrite <- (sqrt_square (sqrt V + sqrt m)) by lra. apply sqrt_le_1_alt.
  replace ((sqrt V + sqrt m) * (sqrt V + sqrt m)) with (sqrt V * sqrt V + sqrt m * sqrt m + 2 * (sqrt V * sqrt m)) by ring. rewrite !sqrt_sqrt by lra. nra.
Qed.
End Last.

(** The factor's own part falls like [1/g] alone: [sqrt(lam) (sqrt(1 + 1/(g lam)) - 1)] lies between [1/(2 g sqrt lam) - 1/(8 g^2 lam sqrt lam)] and the first of these. *)
Theorem F4_rate g l : 0 < g -> 0 < l -> let z := / (g * l) in
  sqrt l * (z / 2 - z ^ 2 / 8) <= sqrt l * (sqrt (1 + z) - 1) <= sqrt l * (z / 2).
Proof.
  intros Hg Hl z. assert (Hz : 0 < z) by (apply Rinv_0_lt_compat, Rmult_lt_0_compat; auto). pose proof (sqrt_pos l).
  assert (U : sqrt (1 + z) <= 1 + z / 2). { rewrite <- (sqrt_square (1 + z / 2)) by lra. apply sqrt_le_1_alt. nra. }
  assert (Lo : 1 + z / 2 - z ^ 2 / 8 <= sqrt (1 + z)).
  { assert (S2 : sqrt (1 + z) * sqrt (1 + z) = 1 + z) by (apply sqrt_sqrt; lra). set (q := sqrt (1 + z)) in *.
    assert (1 <= q) by (unfold q; rewrite <- sqrt_1 at 1; apply sqrt_le_1_alt; lra). replace z with (q * q - 1) by lra.
    assert (0 <= (q - 1) ^ 3 * (q + 3) / 8) by (apply Rdiv_le_0_compat; [apply Rmult_le_pos; [apply pow_le|]|]; lra).
    replace (1 + (q * q - 1) / 2 - (q * q - 1) ^ 2 / 8) with (q - (q - 1) ^ 3 * (q + 3) / 8) by field. lra. }
  split; apply Rmult_le_compat_l; lra.
Qed.

(** Dividing the last step by its cosine is not right for one atom: the end is exact without it, and [c] times nothing is nothing, but for two atoms that are told
    apart ([V] near [lam]) every coupling pays. *)
Theorem F4_twin_free : exists lam0 V c, 0 < V < lam0 /\ 1 < c /\ 0 < c * sqrt V - sqrt lam0.
Proof.
  exists 1, (81 / 100), (5 / 4). repeat split; try lra. replace (81 / 100) with ((9 / 10) * (9 / 10)) by field.
  rewrite sqrt_square by lra. rewrite sqrt_1. lra.
Qed.

(** B. The Gaussian reverse-process error.

    All theorems here are about all finite laws: any dimension [d], any number [n] of points [y i], any weights [p i] (those of the
    posterior at t), any gap [g >= 0]. In the coordinate u (A4) the kernel is [P = sum_i p_i N(m_i, I)] with [m_i = sqrt(g) xi_i],
    [xi_i = y_i - xhat], and [Q = N(0, I)]. [KL], [TV] and [chi2] are integrals over [R^d] (Space.v, Mixture.v). *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas.
Local Open Scope R_scope.

(** ** Definitions *)

Definition mean (n : nat) (p : nat -> R) (y : nat -> vec) : vec := vsum n (fun i => vscal (p i) (y i)).
Definition xi (n : nat) p (y : nat -> vec) (i : nat) : vec := vminus (y i) (mean n p y).
Definition shift (n : nat) p y (g : R) (i : nat) : vec := vscal (sqrt g) (xi n p y i).
(** The trace of the posterior covariance, and its part along coordinate [k] *)
Definition trC (d n : nat) p y : R := sumn n (fun i => p i * sq d (xi n p y i)).
Definition lam (n : nat) p y (k : nat) : R := sumn n (fun i => p i * xi n p y i k ^ 2).
(** Squared distance of two points *)
Definition dist2 (d : nat) (u v : vec) : R := sq d (vminus u v).

(** Bounds, written by hand *)
Definition kl_trace (g tr : R) : R := g * tr / 2.
Definition kl_gauss (g l : R) : R := (g * l - ln (1 + g * l)) / 2.
Definition family_part (s spread : R) : R := (s + s * spread - ln (1 + s)) / 2.

Lemma tie_kl_chi2_bound c : Formulas.kl_chi2_bound c = ln (1 + c).
Proof. unfold Formulas.kl_chi2_bound. f_equal. ring. Qed.
Lemma tie_tv_chi2_bound c : Formulas.tv_chi2_bound c = sqrt c / 2.
Proof. reflexivity. Qed.
Lemma tie_kl_trace_bound g t : Formulas.kl_trace_bound g t = kl_trace g t.
Proof. reflexivity. Qed.
Lemma tie_tv_pinsker_bound g t : Formulas.tv_pinsker_bound g t = sqrt (g * t) / 2.
Proof. reflexivity. Qed.
Lemma tie_kl_gauss_term g l : Formulas.kl_gauss_term g l = kl_gauss g l.
Proof. unfold Formulas.kl_gauss_term, kl_gauss. replace (l * g + 1) with (1 + g * l) by ring. field. Qed.
Lemma tie_isotropic_var v g t d : Formulas.isotropic_var v g t d = v * (1 + g * t / d).
Proof. reflexivity. Qed.
Lemma tie_isotropic_gain g t d : Formulas.isotropic_gain g t d = (g * t - d * ln (1 + g * t / d)) / 2.
Proof. unfold Formulas.isotropic_gain. field. Qed.
Lemma tie_network_error g e : Formulas.network_error g e = g * e / 2.
Proof. unfold Formulas.network_error. field. Qed.
Lemma tie_family_gauss_part s t : Formulas.family_gauss_part s t = family_part s t.
Proof. unfold Formulas.family_gauss_part, family_part. replace (s + 1) with (1 + s) by ring. field. Qed.
Lemma tie_family_shrinkage b t : Formulas.family_shrinkage b t = 1 - 1 / (1 + (2 * b - 1) ^ 2 * t).
Proof.
  unfold Formulas.family_shrinkage. replace (t * (2 * b + -1) ^ 2 + 1) with (1 + (2 * b - 1) ^ 2 * t) by ring.
  unfold Rdiv. ring.
Qed.
Lemma tie_tv_pinsker k : 0 <= k -> Formulas.tv_pinsker k = sqrt (k / 2).
Proof.
  intros Hk. unfold Formulas.tv_pinsker. rewrite <- sqrt_mult by lra.
  replace (k / 2) with (2 * k / (2 * 2)) by field. rewrite sqrt_div by lra. rewrite sqrt_square by lra. auto.
Qed.
Lemma tie_tv_bretagnolle_huber k : Formulas.tv_bretagnolle_huber k = sqrt (1 - exp (- k)).
Proof. unfold Formulas.tv_bretagnolle_huber. rewrite exp_Ropp. f_equal. unfold Rdiv. ring. Qed.

Section All_finite_laws.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec) (g : R).
Hypothesis Hw : weights n p.
Hypothesis Hg : 0 <= g.
Notation xi_ := (xi n p y).
Notation m := (shift n p y g).
Notation P_KL := (KL d n p m).
Notation P_TV := (TV d n p m).
Notation T := (trC d n p y).

Let Hp := proj1 Hw.
Let Hsum := proj2 Hw.
Let Hgg : sqrt g * sqrt g = g. Proof. apply sqrt_sqrt; auto. Qed.

Lemma xi_centred k : sumn n (fun i => p i * xi_ i k) = 0.
Proof.
  unfold xi, vminus. rewrite (sumn_ext n _ (fun i => p i * y i k - p i * mean n p y k)) by (intros; ring).
  rewrite sumn_minus, sumn_scal_r, Hsum. unfold mean, vsum, vscal. ring.
Qed.

Lemma dot_centred a : sumn n (fun i => p i * dot d (m i) a) = 0.
Proof.
  rewrite (sumn_ext n _ (fun i => sumn d (fun k => sqrt g * a k * (p i * xi_ i k)))).
  - rewrite sumn_swap. apply sumn_zero. intros k _. rewrite sumn_scal, xi_centred. ring.
  - intros i _. unfold dot. rewrite <- sumn_scal. apply sumn_ext. intros; unfold shift, vscal; ring.
Qed.

Lemma sq_shift i : sq d (m i) = g * sq d (xi_ i).
Proof. unfold shift. rewrite sq_scal, Hgg. auto. Qed.

Lemma sum_sq_shift : sumn n (fun i => p i * sq d (m i)) = g * T.
Proof. unfold trC. rewrite <- sumn_scal. apply sumn_ext. intros; rewrite sq_shift; ring. Qed.

Lemma trC_lam : T = sumn d (lam n p y).
Proof.
  unfold trC, lam. rewrite sumn_swap. apply sumn_ext. intros i _. unfold sq, dot. rewrite <- sumn_scal. apply sumn_ext. intros; ring.
Qed.

Lemma lam_nonneg k : 0 <= lam n p y k.
Proof. apply sumn_nonneg. intros i Hi. apply Rmult_le_pos; auto. apply pow2_ge_0. Qed.

Lemma trC_nonneg : 0 <= T.
Proof. apply sumn_nonneg. intros i Hi. apply Rmult_le_pos; auto. apply sq_nonneg. Qed.

(** ** B1. chi^2 in closed form *)

Theorem B1_chi2 : chi2 d n p m = sumn n (fun i => sumn n (fun j => p i * p j * exp (g * dot d (xi_ i) (xi_ j)))) - 1.
Proof.
  rewrite (chi2_value d n p Hw). f_equal. apply sumn_ext. intros i _. apply sumn_ext. intros j _.
  unfold shift. rewrite dot_scal_r, dot_scal_l, <- Rmult_assoc, Hgg. auto.
Qed.

(** ** B2. The bounds by chi^2 *)

Theorem B2_kl : P_KL <= Formulas.kl_chi2_bound (chi2 d n p m).
Proof. rewrite tie_kl_chi2_bound. apply kl_chi2; auto. Qed.

Theorem B2_tv : P_TV <= Formulas.tv_chi2_bound (chi2 d n p m).
Proof. rewrite tie_tv_chi2_bound. apply tv_chi2; auto. Qed.

(** ** B3. The trace bounds *)

Theorem B3_kl : P_KL <= Formulas.kl_trace_bound g T.
Proof.
  rewrite tie_kl_trace_bound. unfold kl_trace. eapply Rle_trans; [apply (kl_beta d n p Hw m 0)|].
  rewrite sum_sq_shift. rewrite (sumn_zero n (fun i => p i * _)); [lra|]. intros i Hi.
  rewrite (E_ext d _ (fun _ => 0)); [rewrite E_const; ring|]. intros u. unfold W.
  rewrite (sumn_ext n _ p) by (intros; rewrite Rmult_0_l, exp_0; ring). rewrite Hsum, ln_1. ring.
Qed.

Theorem B3_tv : P_TV <= Formulas.tv_pinsker_bound g T.
Proof.
  rewrite tie_tv_pinsker_bound. eapply Rle_trans; [apply tv_pinsker_kl; auto|].
  pose proof B3_kl as H. rewrite tie_kl_trace_bound in H. unfold kl_trace in H.
  replace (sqrt (g * T) / 2) with (sqrt (g * T / (2 * 2))).
  - apply sqrt_le_1_alt. lra.
  - rewrite sqrt_div_alt by lra. rewrite sqrt_square by lra. auto.
Qed.

(** Half the mean squared distance of two draws is the trace. *)
Lemma trC_pairs : T = sumn n (fun i => sumn n (fun j => p i * p j * dist2 d (y i) (y j))) / 2.
Proof.
  assert (X : forall i j, dist2 d (y i) (y j) = sq d (xi_ i) - 2 * dot d (xi_ i) (xi_ j) + sq d (xi_ j)).
  { intros i j. unfold dist2. rewrite <- sq_minus. unfold sq, dot. apply sumn_ext. intros; unfold xi, vminus; ring. }
  rewrite (sumn_ext n _ (fun i => p i * sq d (xi_ i) * 1 - 2 * (p i * dot d (xi_ i) (vsum n (fun j => vscal (p j) (xi_ j)))) + p i * T)).
  - rewrite sumn_plus, sumn_minus, sumn_scal_r, sumn_scal_r, Hsum, sumn_scal. fold T.
    rewrite (sumn_zero n (fun i => p i * dot d _ _)); [field|]. intros i _.
    unfold dot. rewrite sumn_zero; [ring|]. intros k _. unfold vsum, vscal. rewrite xi_centred. ring.
  - intros i _. rewrite dot_sum_r. unfold trC. rewrite <- !sumn_scal.
    rewrite (sumn_ext n _ (fun j => p i * sq d (xi_ i) * p j - 2 * (p i * dot d (xi_ i) (vscal (p j) (xi_ j))) + p i * (p j * sq d (xi_ j)))).
    + rewrite sumn_plus, sumn_minus, sumn_scal, Hsum, sumn_scal. rewrite <- sumn_scal. auto.
    + intros j _. rewrite X, dot_scal_r. ring.
Qed.

(** n points of diameter D, in any dimension; for n - 1 <= d it is the stated bound, the regular simplex attains it. *)
Theorem B3_diameter D : (forall i j, (i < n)%nat -> (j < n)%nat -> dist2 d (y i) (y j) <= D ^ 2) ->
  T <= D ^ 2 * (INR n - 1) / (2 * INR n).
Proof.
  intros HD. assert (Hn : (0 < n)%nat). { destruct n; [simpl in Hsum; lra|lia]. }
  assert (HnR : 0 < INR n) by (apply lt_0_INR; auto).
  assert (Q : / INR n <= sumn n (fun i => p i * p i)).
  { assert (0 <= sumn n (fun i => (p i - / INR n) ^ 2)) by (apply sumn_nonneg; intros; apply pow2_ge_0).
    rewrite (sumn_ext n _ (fun i => p i * p i - 2 * / INR n * p i + / INR n * / INR n)) in H by (intros; ring).
    rewrite sumn_plus, sumn_minus, sumn_scal, Hsum, sumn_const in H.
    replace (INR n * (/ INR n * / INR n)) with (/ INR n) in H by (field; lra). lra. }
  rewrite trC_pairs.
  assert (S2 : sumn n (fun i => sumn n (fun j => p i * p j * dist2 d (y i) (y j)))
     <= D ^ 2 * (1 - sumn n (fun i => p i * p i))).
  { apply Rle_trans with (sumn n (fun i => D ^ 2 * (p i - p i * p i))).
    - apply sumn_le. intros i Hi.
      rewrite (sumn_ext n _ (fun j => (if Nat.eqb j i then 0 else p i * p j * dist2 d (y i) (y j)))).
      2:{ intros j _. destruct (PeanoNat.Nat.eqb_spec j i) as [->|]; auto. unfold dist2.
          replace (sq d (vminus (y i) (y i))) with 0; [ring|]. unfold sq, dot. symmetry. apply sumn_zero. intros; unfold vminus; ring. }
      apply Rle_trans with (sumn n (fun j => D ^ 2 * p i * p j - (if Nat.eqb j i then D ^ 2 * p i * p j else 0))).
      + apply sumn_le. intros j Hj. destruct (Nat.eqb j i); [lra|]. specialize (HD i j Hi Hj).
        assert (0 <= p i * p j) by (apply Rmult_le_pos; auto). nra.
      + rewrite sumn_minus, sumn_scal, Hsum, (sumn_single n i (fun j => D ^ 2 * p i * p j)) by auto. lra.
    - rewrite sumn_scal, sumn_minus, Hsum. lra. }
  apply Rle_trans with (D ^ 2 * (1 - / INR n) / 2).
  - assert (0 <= D ^ 2) by apply pow2_ge_0. nra.
  - right. field. lra.
Qed.

(** ** B5. Pythagoras

    Coordinates are along the eigenvectors of the covariance, [lam k] its eigenvalues. [M = N(0, I + g C)] has the log density ratio
    [gauss_log]. *)

Definition gauss_log (u : vec) : R :=
  sumn d (fun k => - ln (1 + g * lam n p y k) / 2) + quad d (fun k => (1 - / (1 + g * lam n p y k)) / 2) u.

Lemma spread_pos k : 1 <= 1 + g * lam n p y k.
Proof. assert (0 <= g * lam n p y k) by (apply Rmult_le_pos; auto; apply lam_nonneg). lra. Qed.

Lemma tame_gauss_log : tame d gauss_log.
Proof. apply (tame_plus d (fun _ => sumn d (fun k => - ln (1 + g * lam n p y k) / 2))); [apply tame_const|apply tame_quad]. Qed.

(** Second moments of P along coordinate k *)
Lemma second_moments S : sumn n (fun i => p i * sumn d (fun k => S k * (1 + m i k ^ 2))) = sumn d (fun k => S k * (1 + g * lam n p y k)).
Proof.
  rewrite (sumn_ext n _ (fun i => sumn d (fun k => S k * (p i + g * (p i * xi_ i k ^ 2))))).
  - rewrite sumn_swap. apply sumn_ext. intros k _. rewrite sumn_scal, sumn_plus, Hsum, sumn_scal. auto.
  - intros i _. rewrite <- sumn_scal. apply sumn_ext. intros k _. unfold shift, vscal.
    replace ((sqrt g * xi_ i k) ^ 2) with (sqrt g * sqrt g * xi_ i k ^ 2) by ring. rewrite Hgg. ring.
Qed.

Theorem B5_pythagoras : P_KL = KL_to d n p m gauss_log + sumn d (fun k => Formulas.kl_gauss_term g (lam n p y k)).
Proof.
  rewrite (kl_to_split d n p Hw) by apply tame_gauss_log.
  assert (H : E d (fun u => mix d n p m u * gauss_log u) = sumn d (fun k => Formulas.kl_gauss_term g (lam n p y k))); [|rewrite H; ring].
  unfold gauss_log. set (c := sumn d (fun k => - ln (1 + g * lam n p y k) / 2)). set (S := fun k => (1 - / (1 + g * lam n p y k)) / 2).
  rewrite (E_ext d _ (fun u => c * mix d n p m u + mix d n p m u * quad d S u)) by (intros; ring).
  rewrite E_plus, E_scal, E_mix_1, E_mix_quad, second_moments; auto;
    [|apply tame_mix|apply tame_scal, tame_mix|apply tame_mult; [apply tame_mix|apply tame_quad]].
  unfold c, S. rewrite Rmult_1_r, <- sumn_plus. apply sumn_ext. intros k _. rewrite tie_kl_gauss_term. unfold kl_gauss.
  pose proof (spread_pos k). field. lra.
Qed.

(** With [u = k v], [k^2 = 1 + g lam], M is N(0, I) in v. *)
Definition roots (j : nat) : R := sqrt (1 + g * lam n p y j).

Lemma roots_ge j : 1 <= roots j.
Proof. unfold roots. apply Rle_trans with (sqrt 1); [rewrite sqrt_1; lra|apply sqrt_le_1_alt, spread_pos]. Qed.

Lemma roots_sq j : roots j ^ 2 = 1 + g * lam n p y j.
Proof. unfold roots. rewrite pow2_sqrt; auto. pose proof (spread_pos j). lra. Qed.

Lemma jac_pos v : 0 < jac d roots v.
Proof. apply Rmult_lt_0_compat; [|apply exp_pos]. apply prodn_pos. intros i _. pose proof (roots_ge i). lra. Qed.

Lemma gauss_log_stretch v : - gauss_log (stretch roots v) = ln (jac d roots v).
Proof.
  assert (Pk : 0 < prodn d roots) by (apply prodn_pos; intros i _; pose proof (roots_ge i); lra).
  unfold jac. rewrite ln_mult, ln_exp; auto; [|apply exp_pos]. unfold gauss_log.
  assert (L : ln (prodn d roots) = - sumn d (fun j => - ln (1 + g * lam n p y j) / 2)).
  { rewrite <- sumn_opp. rewrite (prodn_ext d roots (fun j => exp (- (- ln (1 + g * lam n p y j) / 2)))).
    - rewrite prodn_exp, ln_exp. auto.
    - intros j _. pose proof (roots_ge j). rewrite <- (exp_ln (roots j)) by lra. f_equal. rewrite <- roots_sq.
      rewrite ln_pow by lra. simpl INR. field. }
  rewrite L. rewrite Ropp_plus_distr. f_equal. unfold quad. unfold Rdiv at 2. rewrite <- sumn_scal_r. f_equal.
  apply sumn_ext. intros j _. unfold stretch. rewrite <- roots_sq. pose proof (roots_ge j). field. lra.
Qed.

(** The density of P over that of M, in v *)
Definition over_M (v : vec) : R := mix d n p m (stretch roots v) * jac d roots v.

Lemma tame_over_M : tame d over_M.
Proof. apply tame_mult; [apply (tame_stretch d roots (mix d n p m)), tame_mix|apply tame_jac; intros; apply roots_ge]. Qed.

Lemma over_M_pos v : 0 < over_M v.
Proof. apply Rmult_lt_0_compat; [apply (mix_pos d n p m (stretch roots v) Hw)|apply jac_pos]. Qed.

Lemma E_over_M : E d over_M = 1.
Proof. unfold over_M. rewrite (E_stretch d roots (mix d n p m)); [apply E_mix_1; auto|intros; apply roots_ge|apply tame_mix]. Qed.

Lemma ln_over_M v : ln (over_M v) = ln (mix d n p m (stretch roots v)) - gauss_log (stretch roots v).
Proof. unfold over_M. rewrite ln_mult; [|apply (mix_pos d n p m (stretch roots v) Hw)|apply jac_pos]. pose proof (gauss_log_stretch v). lra. Qed.

Lemma tame_ln_over_M : tame d (fun v => over_M v * ln (over_M v)).
Proof.
  apply tame_mult; [apply tame_over_M|]. rewrite (functional_extensionality (fun v => ln (over_M v)) (fun v => ln (mix d n p m (stretch roots v)) - gauss_log (stretch roots v))) by apply ln_over_M.
  apply (tame_stretch d roots (fun u => ln (mix d n p m u) - gauss_log u)), tame_minus; [apply tame_ln_mix; auto|apply tame_gauss_log].
Qed.

Lemma kl_to_gauss_value : KL_to d n p m gauss_log = E d (fun v => over_M v * ln (over_M v)).
Proof.
  unfold KL_to. rewrite <- (E_stretch d roots).
  - apply E_ext. intros v. rewrite ln_over_M. unfold over_M. ring.
  - intros; apply roots_ge.
  - apply tame_mult; [apply tame_mix|apply tame_minus; [apply tame_ln_mix; auto|apply tame_gauss_log]].
Qed.

(** No divergence is negative. *)
Lemma kl_to_gauss_nonneg : 0 <= KL_to d n p m gauss_log.
Proof.
  rewrite kl_to_gauss_value. replace 0 with (E d (fun v => over_M v - 1)).
  - apply E_le; [apply tame_minus; [apply tame_over_M|apply tame_const]|apply tame_ln_over_M|]. intros v. pose proof (over_M_pos v). set (z := over_M v) in *. clearbody z.
    assert (ln (/ z) <= / z - 1) by (apply ln_le_sub, Rinv_0_lt_compat; auto). rewrite ln_Rinv in H0 by auto.
    apply Rmult_le_compat_l with (r := z) in H0; [|lra]. replace (z * (/ z - 1)) with (1 - z) in H0 by (field; lra). lra.
  - rewrite E_minus, E_over_M, E_const; [ring|apply tame_over_M|apply tame_const].
Qed.

Theorem B5_lower : sumn d (fun k => Formulas.kl_gauss_term g (lam n p y k)) <= P_KL.
Proof. rewrite B5_pythagoras. pose proof kl_to_gauss_nonneg. lra. Qed.

(** ** B7. The best isotropic Gaussian *)

(** The log density ratio of N(a, v I) to Q *)
Definition iso_log (v : R) (a u : vec) : R := - INR d * ln v / 2 + quad d (fun _ => (1 - / v) / 2) u + / v * dot d a u - sq d a / (2 * v).

Lemma kl_to_iso v a : 0 < v -> KL_to d n p m (iso_log v a)
  = P_KL + (INR d * ln v + (INR d + g * T) * (/ v - 1) + sq d a / v) / 2.
Proof.
  intros Hv. assert (Tl : tame d (iso_log v a)).
  { unfold iso_log. apply tame_minus; [|apply tame_const]. apply tame_plus; [|apply tame_scal, tame_dot].
    apply (tame_plus d (fun _ => - INR d * ln v / 2)); [apply tame_const|apply tame_quad]. }
  rewrite (kl_to_split d n p Hw) by auto.
  assert (H : E d (fun u => mix d n p m u * iso_log v a u) = - (INR d * ln v + (INR d + g * T) * (/ v - 1) + sq d a / v) / 2); [|rewrite H; field; lra].
  unfold iso_log. set (c := - INR d * ln v / 2 - sq d a / (2 * v)).
  rewrite (E_ext d _ (fun u => c * mix d n p m u + mix d n p m u * quad d (fun _ => (1 - / v) / 2) u + / v * (mix d n p m u * dot d a u)))
    by (intros; unfold c; ring).
  assert (T1 := tame_mix d n p m). assert (T2 : tame d (fun u => mix d n p m u * quad d (fun _ => (1 - / v) / 2) u)) by (apply tame_mult; [auto|apply tame_quad]).
  assert (T3 : tame d (fun u => mix d n p m u * dot d a u)) by (apply tame_mult; [auto|apply tame_dot]).
  rewrite E_plus, E_plus, !E_scal, E_mix_1, E_mix_quad, E_mix_dot, second_moments, dot_centred; auto;
    [|apply tame_scal; auto|apply tame_plus; auto; apply tame_scal; auto|apply tame_scal; auto].
  rewrite sumn_scal, sumn_plus, sumn_const, sumn_scal, <- trC_lam. unfold c. field. lra.
Qed.

Theorem B7_best v a : (0 < d)%nat -> 0 < v ->
  let best := Formulas.isotropic_var 1 g T (INR d) in KL_to d n p m (iso_log best (fun _ => 0)) <= KL_to d n p m (iso_log v a).
Proof.
  intros Hd Hv best. assert (HdR : 0 < INR d) by (apply lt_0_INR; auto).
  assert (Hb : best = 1 + g * T / INR d) by (unfold best; rewrite tie_isotropic_var; ring).
  assert (H0 : 0 <= g * T / INR d) by (apply Rdiv_le_0_compat; auto; apply Rmult_le_pos; auto; apply trC_nonneg).
  rewrite !kl_to_iso by lra. assert (Hs : sq d (fun _ => 0) = 0) by (unfold sq, dot; apply sumn_zero; intros; ring). rewrite Hs.
  assert (Hg' : INR d + g * T = INR d * best) by (rewrite Hb; field; lra). rewrite Hg'.
  assert (0 <= sq d a / v) by (apply Rdiv_le_0_compat; auto; apply sq_nonneg).
  (* ln best - ln v <= best/v - 1 *)
  assert (L : ln (best / v) <= best / v - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; lra). rewrite ln_div in L by lra.
  assert (E1' : INR d * best * (/ best - 1) = INR d - INR d * best) by (field; lra).
  assert (E2' : INR d * best * (/ v - 1) = INR d * (best / v) - INR d * best) by (field; lra).
  rewrite E1', E2'. apply Rmult_le_compat_l with (r := INR d) in L; [|lra].
  replace (0 / best) with 0 by (field; lra). lra.
Qed.

Theorem B7_gain : (0 < d)%nat ->
  P_KL - KL_to d n p m (iso_log (Formulas.isotropic_var 1 g T (INR d)) (fun _ => 0)) = Formulas.isotropic_gain g T (INR d).
Proof.
  intros Hd. assert (HdR : 0 < INR d) by (apply lt_0_INR; auto).
  assert (H0 : 0 <= g * T / INR d) by (apply Rdiv_le_0_compat; auto; apply Rmult_le_pos; auto; apply trC_nonneg).
  rewrite tie_isotropic_gain, tie_isotropic_var, Rmult_1_l, kl_to_iso by lra.
  assert (Hs : sq d (fun _ => 0) = 0) by (unfold sq, dot; apply sumn_zero; intros; ring). rewrite Hs.
  assert (HG : g * T = INR d * (1 + g * T / INR d) - INR d) by (field; lra).
  assert (Hb : 0 < 1 + g * T / INR d) by lra.
  set (b := 1 + g * T / INR d) in *. clearbody b. rewrite HG. field. lra.
Qed.

(** ** B8. One step with a wrong denoiser: the step is N(e, I), [e = sqrt(g)(m_theta - xhat)] *)

Theorem B8_step (net : vec) : let e := vscal (sqrt g) (vminus net (mean n p y)) in
  KL_to d n p m (fun u => dot d e u - sq d e / 2) = P_KL + Formulas.network_error g (dist2 d net (mean n p y)).
Proof.
  intros e. assert (Tl : tame d (fun u => dot d e u - sq d e / 2)) by (apply tame_minus; [apply tame_dot|apply tame_const]).
  rewrite (kl_to_split d n p Hw) by auto. rewrite tie_network_error.
  rewrite (E_ext d (fun u => mix d n p m u * _) (fun u => mix d n p m u * dot d e u - sq d e / 2 * mix d n p m u)) by (intros; ring).
  rewrite E_minus, E_scal, E_mix_1, E_mix_dot, dot_centred; auto; [|apply tame_mix|apply tame_mult; [apply tame_mix|apply tame_dot]|apply tame_scal, tame_mix].
  unfold e, dist2. rewrite sq_scal, Hgg. field.
Qed.

End All_finite_laws.

(** D3. Inherent, yet harmless: what remains of it after D.v, for every finite law.

    The kernel at s = 0 is the posterior itself, atoms without a density. Its TV and KL to a Gaussian are the greatest values of
    [P(f) - N(f)] over test functions between 0 and 1 and of [P(h) - ln N(exp h)] over all h. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas A B B_pairs E F Posterior D D_time.
Local Open Scope R_scope.

(** ** The kernel at s = 0 against every Gaussian that is not degenerate *)

Section Atoms_and_Gaussian.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec) (c s : vec).
Hypothesis Hw : weights n p.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hs : 0 < s 0%nat.

(** The expectation under N(c, diag s^2) *)
Definition at_v (v : vec) : vec := fun k => c k + s k * v k.
Definition E_any (f : vec -> R) : R := E d (fun v => f (at_v v)).
(** A peak at every atom, in the first coordinate *)
Definition peak (K : R) (i : nat) (x : vec) : R := exp (- (K * (x 0%nat - y i 0%nat) ^ 2 / 2)).
Definition peaks (K : R) (x : vec) : R := (1 + sumn n (fun i => peak K i x) - Rabs (1 - sumn n (fun i => peak K i x))) / 2.

Lemma peaks_min K x : peaks K x = Rmin 1 (sumn n (fun i => peak K i x)).
Proof. unfold peaks, Rmin. destruct (Rle_dec 1 (sumn n (fun i => peak K i x))); [rewrite Rabs_left1 by lra|rewrite Rabs_right by lra]; field. Qed.

Lemma peaks_range K x : 0 <= peaks K x <= 1.
Proof.
  rewrite peaks_min. split; [|apply Rmin_l]. apply Rmin_glb; [lra|]. apply sumn_nonneg. intros; left; apply exp_pos.
Qed.

Lemma peaks_atom K i : (i < n)%nat -> peaks K (y i) = 1.
Proof.
  intros Hi. rewrite peaks_min. apply Rmin_left. replace 1 with (peak K i (y i)) at 1.
  - apply (sumn_term n (fun j => peak K j (y i))); auto. intros; left; apply exp_pos.
  - unfold peak. apply exp_zero. field.
Qed.

Lemma peak_mgf K i v : peak K i (at_v v) = exp (- (K * (y i 0%nat - c 0%nat) ^ 2 / 2)) * exp (dot d (unit 0 (K * s 0%nat * (y i 0%nat - c 0%nat))) v - quad d (unit 0 (K * s 0%nat ^ 2)) v / 2).
Proof.
  unfold peak, at_v. rewrite <- exp_plus. f_equal. rewrite (dot_comm d _ v), dot_unit by auto.
  assert (Q : quad d (unit 0 (K * s 0%nat ^ 2)) v = K * s 0%nat ^ 2 * v 0%nat ^ 2).
  { unfold quad, unit. rewrite (sumn_ext d _ (fun k => if Nat.eqb k 0 then K * s 0%nat ^ 2 * v k ^ 2 else 0)) by (intros k _; destruct (Nat.eqb k 0); ring).
    apply (sumn_single d 0 (fun k => K * s 0%nat ^ 2 * v k ^ 2)); auto. }
  rewrite Q. field.
Qed.

Let HU : forall K, 0 <= K -> forall k, (k < d)%nat -> 0 <= unit 0 (K * s 0%nat ^ 2) k.
Proof. intros K HK k _. unfold unit. destruct (Nat.eqb k 0); [apply Rmult_le_pos; auto; apply pow2_ge_0|lra]. Qed.

Lemma tame_peak K i : 0 <= K -> tame d (fun v => peak K i (at_v v)).
Proof. intros HK. rewrite (functional_extensionality _ _ (peak_mgf K i)). apply tame_scal, tame_gauss. auto. Qed.

Lemma tame_peaks K : 0 <= K -> tame d (fun v => peaks K (at_v v)).
Proof.
  intros HK. set (S := fun v => sumn n (fun i => peak K i (at_v v))). assert (TS : tame d S) by (apply (tame_sum d n (fun i v => peak K i (at_v v))); intros; apply tame_peak; auto).
  rewrite (functional_extensionality (fun v => peaks K (at_v v)) (fun v => / 2 * (1 + S v - Rabs (1 - S v)))) by (intros; unfold peaks, S; field).
  apply tame_scal, tame_minus; [apply tame_plus; auto; apply tame_const|]. apply (tame_abs d (fun v => 1 - S v)), tame_minus; auto. apply tame_const.
Qed.

Lemma prod_unit (e : nat) f : (0 < e)%nat -> (forall k, (0 < k)%nat -> f k = 1) -> prodn e f = f 0%nat.
Proof. intros He H. induction e as [|[|e] IH]; [lia|simpl; ring|]. change (prodn (S (S e)) f) with (prodn (S e) f * f (S e)). rewrite IH, (H (S e)) by lia. ring. Qed.

(** A narrow peak weighs little under the Gaussian. *)
Lemma peak_small K i : 0 <= K -> E d (fun v => peak K i (at_v v)) <= / sqrt (1 + K * s 0%nat ^ 2).
Proof.
  intros HK. set (B := K * s 0%nat ^ 2). assert (HB : 0 <= B) by (apply Rmult_le_pos; auto; apply pow2_ge_0).
  rewrite (E_ext d _ _ (peak_mgf K i)). rewrite E_scal by (apply tame_gauss; auto). rewrite E_mgf by auto. rewrite (prod_unit d); auto.
  - unfold unit. simpl Nat.eqb. cbv iota. fold B. unfold Rdiv at 2. rewrite <- Rmult_assoc, <- exp_plus.
    assert (S1 : 0 < sqrt (1 + B)) by (apply sqrt_lt_R0; lra). rewrite <- (Rmult_1_l (/ sqrt (1 + B))) at 2. apply Rmult_le_compat_r; [left; apply Rinv_0_lt_compat; auto|].
    apply Rle_trans with (exp 0); [apply exp_le_mono|rewrite exp_0; lra]. set (z := y i 0%nat - c 0%nat).
    replace (- (K * z ^ 2 / 2) + (K * s 0%nat * z) ^ 2 / (2 * (1 + B))) with (- (K * z ^ 2 / (2 * (1 + B)))) by (unfold B in *; field; lra).
    assert (0 <= K * z ^ 2 / (2 * (1 + B))); [|lra]. apply Rdiv_le_0_compat; [apply Rmult_le_pos; auto; apply pow2_ge_0|lra].
  - intros k Hk. unfold unit. destruct (PeanoNat.Nat.eqb_spec k 0); [lia|]. rewrite Rplus_0_r, sqrt_1. rewrite (exp_zero (0 ^ 2 / (2 * 1))) by field. field.
Qed.

(** TV is 1: there are tests that are 1 at every atom and have as small a mean under the Gaussian as one likes. *)
Theorem D3_tv_one eps : 0 < eps -> exists f, tame d (fun v => f (at_v v)) /\ (forall x, 0 <= f x <= 1) /\
  sumn n (fun i => p i * f (y i)) = 1 /\ E_any f < eps.
Proof.
  intros He. assert (Hn : 0 <= INR n) by apply pos_INR. set (K := ((INR n + 1) / (eps * s 0%nat)) ^ 2).
  assert (HK : 0 <= K) by apply pow2_ge_0. exists (peaks K). split; [apply tame_peaks; auto|]. split; [apply peaks_range|]. split.
  - rewrite <- (proj2 Hw). apply sumn_ext. intros i Hi. rewrite peaks_atom by auto. ring.
  - unfold E_any. apply Rle_lt_trans with (INR n * / sqrt (1 + K * s 0%nat ^ 2)).
    + apply Rle_trans with (E d (fun v => sumn n (fun i => peak K i (at_v v)))).
      * apply E_le; [apply tame_peaks; auto|apply (tame_sum d n (fun i v => peak K i (at_v v))); intros; apply tame_peak; auto|]. intros v. rewrite peaks_min. apply Rmin_r.
      * rewrite (E_sum d n (fun i v => peak K i (at_v v))) by (intros; apply tame_peak; auto). rewrite <- sumn_const. apply sumn_le. intros; apply peak_small; auto.
    + set (z := (INR n + 1) / eps). assert (Hz : 0 < z) by (apply Rdiv_lt_0_compat; lra).
      assert (Ez : K * s 0%nat ^ 2 = z ^ 2) by (unfold K, z; field; lra). rewrite Ez.
      assert (Hr : z < sqrt (1 + z ^ 2)) by (rewrite <- (sqrt_pow2 z) at 1 by lra; apply sqrt_lt_1_alt; split; [apply pow2_ge_0|lra]).
      apply Rmult_lt_reg_r with (sqrt (1 + z ^ 2)); [lra|]. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
      apply Rlt_le_trans with (eps * z); [unfold z; replace (eps * ((INR n + 1) / eps)) with (INR n + 1) by (field; lra); lra|apply Rmult_le_compat_l; lra].
Qed.

(** KL is infinite: its variational form passes every level. *)
Theorem D3_kl_infinite L : exists h, tame d (fun v => h (at_v v)) /\ tame d (fun v => exp (h (at_v v))) /\ L < sumn n (fun i => p i * h (y i)) - ln (E_any (fun x => exp (h x))).
Proof.
  set (l := Rabs L + 1). assert (Hl : 1 <= l) by (unfold l; pose proof (Rabs_pos L); lra).
  destruct (D3_tv_one (/ exp l)) as (f & Tf & Rf & Sf & Ef); [apply Rinv_0_lt_compat, exp_pos|].
  assert (Te : tame d (fun v => exp (l * f (at_v v)))).
  { rewrite (functional_extensionality (fun v => exp (l * f (at_v v))) (fun v => exp l * exp (l * f (at_v v) - l))).
    - apply tame_scal. apply (tame_exp_neg d (fun v => l * f (at_v v) - l)); [apply tame_minus; [apply tame_scal; auto|apply tame_const]|]. intros v. destruct (Rf (at_v v)). nra.
    - intros v. rewrite <- exp_plus. f_equal. ring. }
  exists (fun x => l * f x). split; [apply tame_scal; auto|]. split; auto.
  assert (Up : E_any (fun x => exp (l * f x)) < 2).
  { unfold E_any. apply Rle_lt_trans with (E d (fun v => 1 + (exp l - 1) * f (at_v v))).
    - apply E_le; auto; [apply tame_plus; [apply tame_const|apply tame_scal; auto]|]. intros v. destruct (Rf (at_v v)) as [F0 F1]. set (t := f (at_v v)) in *.
      (* the exponential lies below its chord *)
      assert (T : forall z, exp (l * t) * (1 + (z - l * t)) <= exp z).
      { intros z. replace (exp z) with (exp (l * t) * exp (z - l * t)) by (rewrite <- exp_plus; f_equal; ring). apply Rmult_le_compat_l; [left; apply exp_pos|apply exp_ge]. }
      pose proof (T 0) as T0. pose proof (T l) as T1. rewrite exp_0 in T0.
      assert ((1 - t) * (exp (l * t) * (1 + (0 - l * t))) + t * (exp (l * t) * (1 + (l - l * t))) <= (1 - t) * 1 + t * exp l) by (apply Rplus_le_compat; apply Rmult_le_compat_l; lra).
      replace ((1 - t) * (exp (l * t) * (1 + (0 - l * t))) + t * (exp (l * t) * (1 + (l - l * t)))) with (exp (l * t)) in H by ring. lra.
    - rewrite E_plus, E_const, E_scal; auto; [|apply tame_const|apply tame_scal; auto]. fold (E_any f). assert (Hx : 1 <= exp l) by (apply exp_ge_1; lra).
      assert ((exp l - 1) * E_any f <= (exp l - 1) * / exp l) by (apply Rmult_le_compat_l; lra).
      replace ((exp l - 1) * / exp l) with (1 - / exp l) in H by (field; lra). assert (0 < / exp l) by (apply Rinv_0_lt_compat; lra). lra. }
  assert (Lo : 0 < E_any (fun x => exp (l * f x))).
  { apply Rlt_le_trans with 1; [lra|]. unfold E_any. rewrite <- (E_const d 1). apply E_le; auto; [apply tame_const|]. intros v. apply exp_ge_1. destruct (Rf (at_v v)). apply Rmult_le_pos; lra. }
  assert (ln (E_any (fun x => exp (l * f x))) < 1).
  { apply Rlt_trans with (ln 2); [apply ln_increasing; auto|interval]. }
  rewrite (sumn_ext n _ (fun i => l * (p i * f (y i)))) by (intros; ring). rewrite sumn_scal, Sf. pose proof (Rle_abs L). unfold l in *. lra.
Qed.
End Atoms_and_Gaussian.

(** ** On the way: every Gaussian *)

Section On_the_way.
Variables (d n : nat) (p : nat -> R) (y : nat -> vec) (g : R).
Hypothesis Hw : weights n p.
Hypothesis Hg : 0 <= g.
Notation m := (shift n p y g).
Notation l k := (lam n p y k).

(** N(a, diag v) over N(0, I), in coordinates along its own eigenvectors; [l k] is then the k-th diagonal entry of C, whatever its eigenvectors *)
Definition any_log (a v u : vec) : R := sumn d (fun k => - ln (v k) / 2 + u k ^ 2 / 2 - (u k - a k) ^ 2 / (2 * v k)).

(** No Gaussian is nearer than the one of the same variances along its axes; by Hadamard's inequality [prod (1 + g C_kk)] is at least the determinant. *)
Theorem D3_every_gaussian a v : (forall k, (k < d)%nat -> 0 < v k) ->
  sumn d (fun k => Formulas.kl_atoms_lower g (l k)) - entropy n p <= KL_to d n p m (any_log a v).
Proof.
  intros Hv. eapply Rle_trans; [apply (D3_lower d n p y g Hw Hg)|].
  set (S := fun k => / 2 - / (2 * v k)). set (b := fun k => a k / v k). set (c := sumn d (fun k => - ln (v k) / 2 - a k ^ 2 / (2 * v k))).
  assert (X : forall u, any_log a v u = c + quad d S u + dot d b u).
  { intros u. unfold any_log, c, quad, dot. rewrite <- !sumn_plus. apply sumn_ext. intros k Hk. specialize (Hv k Hk). unfold S, b. field. lra. }
  assert (Tq := tame_quad d S). assert (Tb := tame_dot d b). assert (Tm := tame_mix d n p m).
  assert (TX : tame d (any_log a v)).
  { rewrite (functional_extensionality _ _ X). apply (tame_plus d (fun u => c + quad d S u)); auto. apply (tame_plus d (fun _ => c)); auto. apply tame_const. }
  rewrite (kl_to_split d n p Hw m (any_log a v) TX). rewrite (B5_pythagoras d n p y g Hw Hg).
  assert (EX : E d (fun u => mix d n p m u * any_log a v u) = c + sumn d (fun k => S k * (1 + g * l k))).
  { rewrite (E_ext d _ (fun u => c * mix d n p m u + mix d n p m u * quad d S u + mix d n p m u * dot d b u)) by (intros; rewrite X; ring).
    assert (T1 : tame d (fun u => mix d n p m u * quad d S u)) by (apply tame_mult; auto). assert (T2 : tame d (fun u => mix d n p m u * dot d b u)) by (apply tame_mult; auto).
    rewrite E_plus, E_plus, E_scal, E_mix_1, E_mix_quad, E_mix_dot, (second_moments d n p y g Hw Hg), (dot_centred d n p y g Hw); auto; try (apply tame_scal; auto); [ring|].
    apply tame_plus; auto. apply tame_scal; auto. }
  rewrite EX. enough (c + sumn d (fun k => S k * (1 + g * l k)) <= sumn d (fun k => Formulas.kl_gauss_term g (l k))) by lra.
  unfold c. rewrite <- sumn_plus. apply sumn_le. intros k Hk. specialize (Hv k Hk). rewrite tie_kl_gauss_term. unfold kl_gauss, S.
  pose proof (spread_pos n p y g Hw Hg k) as Hp. set (z := 1 + g * l k) in *.
  assert (L : ln (z / v k) <= z / v k - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; lra). rewrite ln_div in L by lra.
  assert (0 <= a k ^ 2 / (2 * v k)) by (apply Rdiv_le_0_compat; [apply pow2_ge_0|lra]).
  replace (- ln (v k) / 2 - a k ^ 2 / (2 * v k) + (/ 2 - / (2 * v k)) * z) with (- ln (v k) / 2 - a k ^ 2 / (2 * v k) + z / 2 - z / v k / 2) by (field; lra).
  replace (g * l k) with (z - 1) by (unfold z; ring). lra.
Qed.

Let Hp := proj1 Hw.

(** For the moment-matched Gaussian both sides meet as g grows, like [1/g] at least, if the atoms are distinct. *)
Theorem D3_meet : (forall i j, (i < n)%nat -> (j < n)%nat -> i <> j -> 0 < dist2 d (y i) (y j)) -> 0 < g ->
  0 <= KL_to d n p m (gauss_log d n p y g) - (sumn d (fun k => Formulas.kl_atoms_lower g (l k)) - entropy n p)
  <= sumn n (fun i => sumn n (fun j => if Nat.eqb j i then 0 else 8 * p j / dist2 d (y i) (y j))) / g.
Proof.
  intros Hdist Hg0. split; [pose proof (D3_lower d n p y g Hw Hg); lra|].
  pose proof (B9_upper d n p y g Hw Hg) as U. rewrite (B5_pythagoras d n p y g Hw Hg) in U. rewrite tie_kl_trace_bound in U. unfold kl_trace in U.
  assert (Hsplit : sumn d (fun k => Formulas.kl_gauss_term g (l k)) = g * trC d n p y / 2 - sumn d (fun k => Formulas.kl_atoms_lower g (l k))).
  { rewrite (trC_lam d n p y). unfold Rdiv. rewrite <- sumn_scal, <- sumn_scal_r, <- sumn_minus. apply sumn_ext. intros k _.
    rewrite tie_kl_gauss_term, tie_kl_atoms_lower. unfold kl_gauss. field. }
  enough (pairs d n p y g 8 + entropy n p <= sumn n (fun i => sumn n (fun j => if Nat.eqb j i then 0 else 8 * p j / dist2 d (y i) (y j))) / g) by lra.
  set (Z := fun i => sumn n (fun j => if Nat.eqb j i then 0 else 8 * p j / dist2 d (y i) (y j))). change (sumn n Z / g) with (sumn n Z * / g).
  rewrite <- sumn_scal_r. unfold pairs, entropy. rewrite <- sumn_opp, <- sumn_plus. apply sumn_le. intros i Hi. unfold Z. clear Z.
  set (S := sumn n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / 8)))).
  assert (Self : exp (- (g * dist2 d (y i) (y i) / 8)) = 1).
  { apply exp_zero. unfold dist2. replace (sq d (vminus (y i) (y i))) with 0; [field|]. unfold sq, dot. symmetry. apply sumn_zero. intros; unfold vminus; ring. }
  assert (ES : S = p i + sumn n (fun j => if Nat.eqb j i then 0 else p j * exp (- (g * dist2 d (y i) (y j) / 8)))).
  { unfold S. rewrite <- (sumn_single n i (fun j => p j)) at 1 by auto. rewrite <- sumn_plus. apply sumn_ext. intros j _. destruct (PeanoNat.Nat.eqb_spec j i) as [->|]; [rewrite Self|]; ring. }
  assert (R0 : forall j, (j < n)%nat -> 0 <= (if Nat.eqb j i then 0 else p j * exp (- (g * dist2 d (y i) (y j) / 8)))
                        <= (if Nat.eqb j i then 0 else 8 * p j / dist2 d (y i) (y j)) * / g).
  { intros j Hj. destruct (PeanoNat.Nat.eqb_spec j i) as [->|Hne]; [lra|]. specialize (Hdist i j Hi Hj ltac:(auto)). set (D := dist2 d (y i) (y j)) in *.
    split; [apply Rmult_le_pos; auto; left; apply exp_pos|]. replace (8 * p j / D * / g) with (p j * / (g * D / 8)) by (field; lra). apply Rmult_le_compat_l; auto.
    rewrite exp_Ropp. assert (0 < g * D / 8) by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; auto|lra]). apply Rinv_le_contravar; auto. pose proof (exp_ge (g * D / 8)). lra. }
  apply Rle_trans with (sumn n (fun j => if Nat.eqb j i then 0 else p j * exp (- (g * dist2 d (y i) (y j) / 8)))).
  - destruct (Hp i Hi) as [Hpi|Hpi].
    + assert (HS : p i <= S) by (rewrite ES; assert (0 <= sumn n (fun j => if Nat.eqb j i then 0 else p j * exp (- (g * dist2 d (y i) (y j) / 8)))) by (apply sumn_nonneg; intros; apply R0; auto); lra).
      assert (L : ln (S / p i) <= S / p i - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; lra). rewrite ln_div in L by lra. apply Rmult_le_compat_l with (r := p i) in L; [|lra].
      replace (p i * (S / p i - 1)) with (S - p i) in L by (field; lra). rewrite ES in L at 2. lra.
    + rewrite <- Hpi. replace (0 * ln S + - (0 * ln 0)) with 0 by ring. apply sumn_nonneg. intros; apply R0; auto.
  - rewrite <- sumn_scal_r. apply sumn_le. intros j Hj. apply R0; auto.
Qed.
End On_the_way.

(** ** Yet harmless *)

(** [W2^2(posterior, delta at the denoiser) = tr C] (D3_w2_trace), and it vanishes where one point is nearest. *)
Theorem D3_trace_vanishes {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} d n w y (al si : T -> R) x i :
  weights n w -> filterlim al F (locally 1) -> filterlim si F (locally 0) -> F (fun t => si t <> 0) -> (i < n)%nat -> 0 < w i ->
  (forall j, (j < n)%nat -> j <> i -> dist2 d x (y i) < dist2 d x (y j)) ->
  filterlim (fun t => trC d n (bayes d n w y (al t) (si t) x) y) F (locally 0).
Proof.
  intros Hw Hal Hsi Hs0 Hin Hi Hu. set (Sd := sumn n (fun j => dist2 d (y j) (y i))).
  assert (L : filterlim (fun t => Sd * rivals d n w y (al t) (si t) x i) F (locally 0)).
  { apply (flim_eq F (fun t => Sd * rivals d n w y (al t) (si t) x i) _ (Sd * sumn n (fun _ => 0))); [apply filter_forall; auto|rewrite sumn_0; ring|].
    apply (flim_mult F (fun _ => Sd)); [apply (flim_const F)|]. unfold rivals.
    apply (flim_sum F n (fun j t => if Nat.eqb j i then 0 else rival d w y (al t) (si t) x i j)). intros j Hj.
    destruct (PeanoNat.Nat.eqb_spec j i); [apply (flim_const F)|]. apply (D1_rival_vanishes d w y F al si x i Hal Hsi Hs0). auto. }
  intros P [eps HP]. assert (Ne := flim_near F _ _ _ L (cond_pos eps)). unfold filtermap.
  apply (filter_imp (fun t => Rabs (Sd * rivals d n w y (al t) (si t) x i - 0) < eps /\ si t <> 0)); [|apply filter_and; auto].
  intros t [H1 H2]. apply HP. rewrite Rminus_0_r in H1. change (Rabs (trC d n (bayes d n w y (al t) (si t) x) y - 0) < eps). rewrite Rminus_0_r.
  set (b := bayes d n w y (al t) (si t) x). assert (Hb : weights n b) by (apply bayes_weights; auto).
  rewrite Rabs_right by (apply Rle_ge, trC_nonneg; auto). eapply Rle_lt_trans; [|eapply Rle_lt_trans; [apply Rle_abs|exact H1]].
  assert (O0 : 0 <= rivals d n w y (al t) (si t) x i).
  { apply sumn_nonneg. intros j Hj. destruct (Nat.eqb j i); [lra|]. unfold rival. rewrite tie_rival_weight by auto.
    apply Rmult_le_pos; [apply Rdiv_le_0_compat; auto; apply Hw; auto|left; apply exp_pos]. }
  (* the spread about the mean is at most that about the point, and that is at most the rivals' share of all distances *)
  apply Rle_trans with (sumn n (fun j => b j * dist2 d (y j) (y i))).
  - unfold trC. assert (X : sumn n (fun j => b j * dist2 d (y j) (y i)) = sumn n (fun j => b j * sq d (xi n b y j)) + sq d (vminus (mean n b y) (y i))).
    { rewrite (sumn_ext n _ (fun j => b j * sq d (xi n b y j) + 2 * sumn d (fun k => vminus (mean n b y) (y i) k * (b j * xi n b y j k)) + sq d (vminus (mean n b y) (y i)) * b j)).
      - rewrite !sumn_plus, !sumn_scal, (proj2 Hb), sumn_swap. rewrite (sumn_zero d); [ring|]. intros k _. rewrite sumn_scal, (xi_centred n b y Hb). ring.
      - intros j _. unfold dist2, sq, dot. rewrite <- !sumn_scal, <- sumn_scal_r, <- !sumn_plus. apply sumn_ext. intros k _. unfold xi, vminus. ring. }
    rewrite X. pose proof (sq_nonneg d (vminus (mean n b y) (y i))). lra.
  - assert (Bi : b i = 1 / (1 + rivals d n w y (al t) (si t) x i)) by (unfold b; rewrite D1_weight, tie_nearest_weight; auto; lra).
    apply Rle_trans with (Sd * (1 - b i)).
    + unfold Sd. rewrite <- sumn_scal_r. apply sumn_le. intros j Hj. destruct (PeanoNat.Nat.eq_dec j i) as [->|Hne].
      * unfold dist2. replace (sq d (vminus (y i) (y i))) with 0; [lra|]. unfold sq, dot. symmetry. apply sumn_zero. intros; unfold vminus; ring.
      * rewrite Rmult_comm. apply Rmult_le_compat_l; [apply sq_nonneg|]. rewrite <- (proj2 Hb).
        assert (b j + b i <= sumn n b); [|lra]. replace (b j + b i) with (sumn n (fun k => (if Nat.eqb k j then b k else 0) + (if Nat.eqb k i then b k else 0))).
        -- apply sumn_le. intros k Hk. pose proof (proj1 Hb k Hk). destruct (PeanoNat.Nat.eqb_spec k j); destruct (PeanoNat.Nat.eqb_spec k i); subst; try lra. contradiction.
        -- rewrite sumn_plus, !sumn_single; auto.
    + apply Rmult_le_compat_l; [apply sumn_nonneg; intros; apply sq_nonneg|]. rewrite Bi. set (o := rivals d n w y (al t) (si t) x i) in *.
      apply Rmult_le_reg_r with (1 + o); [lra|]. replace ((1 - 1 / (1 + o)) * (1 + o)) with o by (field; lra). nra.
Qed.

(** The law of the denoiser's answer at [x_s] is [mmse] from the data: in the joint law of the atom and of [u = x_s/sigma_s] the second law is the data's,
    and the mean squared distance is [mmse]. *)
Theorem D3_last_step d n w y r : weights n w ->
  Ejoint d n w y r (fun i u => dist2 d (y i) (hat d n w y r u)) = Formulas.last_step_w2 (mmse d n w y r) /\
  forall h, Ejoint d n w y r (fun i _ => h (y i)) = sumn n (fun i => w i * h (y i)).
Proof.
  intros Hw. split; [reflexivity|]. intros h. unfold Ejoint.
  rewrite (E_sum d n (fun i u => w i * ratio d (at_r y r i) u * h (y i))).
  - apply sumn_ext. intros i _. rewrite (E_ext d _ (fun u => w i * h (y i) * ratio d (at_r y r i) u)) by (intros; ring). rewrite E_scal, E_ratio by apply tame_ratio. ring.
  - intros i _. rewrite (functional_extensionality (fun u => w i * ratio d (at_r y r i) u * h (y i)) (fun u => w i * h (y i) * ratio d (at_r y r i) u)) by (intros; ring).
    apply tame_scal, tame_ratio.
Qed.
